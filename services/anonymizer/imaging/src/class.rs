//! The classes of objects, from the table in `logging/schema`, and how each is detected and obscured.

use std::{fmt, str::FromStr};

macro_rules! classes {
    ($([$class:ident $name:ident $meaning:literal])*) => {
        /// A class of objects.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Class {
            $($class,)*
        }

        impl Class {
            /// Every class, in the order of the table.
            pub const ALL: &[Self] = &[$(Self::$class,)*];

            /// The name in messages, logs, metrics and settings.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$class => stringify!($name),)*
                }
            }
        }
    };
}
schema::with_classes!(classes);

/// Classes that share thresholds, margins and the mode of obscuring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClassGroup {
    /// Whole people.
    Person,
    /// Faces; their boxes grow to the head.
    Face,
    Vehicle,
}

impl Class {
    #[must_use]
    pub const fn group(self) -> ClassGroup {
        match self {
            Self::Person => ClassGroup::Person,
            Self::Face => ClassGroup::Face,
            Self::Bicycle | Self::Car | Self::Motorcycle | Self::Bus | Self::Truck => ClassGroup::Vehicle,
        }
    }

    /// Whether the class is obscured by default.
    #[must_use]
    pub const fn is_default(self) -> bool {
        match self {
            Self::Person | Self::Face | Self::Car | Self::Motorcycle | Self::Bus | Self::Truck => true,
            Self::Bicycle => false,
        }
    }

    /// The number in COCO's list, as NanoDet counts it. `None` for a class that NanoDet does not detect.
    pub(crate) const fn coco_number(self) -> Option<usize> {
        match self {
            Self::Person => Some(0),
            Self::Bicycle => Some(1),
            Self::Car => Some(2),
            Self::Motorcycle => Some(3),
            Self::Bus => Some(5),
            Self::Truck => Some(7),
            Self::Face => None,
        }
    }

    /// All names, separated by commas.
    #[must_use]
    pub fn names() -> String {
        let names: Vec<_> = Self::ALL.iter().map(|class| class.name()).collect();
        names.join(", ")
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The text is not the name of a class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown class: classes are {}", Class::names())]
pub struct UnknownClass;

impl FromStr for Class {
    type Err = UnknownClass;

    fn from_str(name: &str) -> Result<Self, UnknownClass> {
        Self::ALL
            .iter()
            .copied()
            .find(|class| class.name() == name)
            .ok_or(UnknownClass)
    }
}
