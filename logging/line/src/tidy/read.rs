//! Reading without copying. The parser is that of a document, so what it takes
//! and refuses is the same.

use std::{borrow::Cow, fmt};

use schema::Kind;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::Number;

use super::{
    Scalar,
    names::{Level, NAMES, Name, What},
};

/// The members of a line; None when one of them is not as the schema has it.
/// `in_pod`: whether what the line says of its pod does not count. Also whether
/// labels were left out.
pub(super) fn members(text: &str, in_pod: bool) -> Option<(Vec<(usize, Scalar<'_>)>, bool)> {
    let mut reading = Reading {
        members: Vec::with_capacity(32),
        seen: [0; 4],
        in_pod,
        labels: false,
    };
    let mut json = serde_json::Deserializer::from_str(text);
    let object = Object {
        names: &NAMES.top,
        reading: &mut reading,
    };
    object.deserialize(&mut json).ok()?;
    json.end().ok()?;
    Some((reading.members, reading.labels))
}

struct Reading<'a> {
    members: Vec<(usize, Scalar<'a>)>,
    /// Fields and, after them, objects that were there: of two of the same
    /// name a document has the last.
    seen: [u64; 4],
    in_pod: bool,
    labels: bool,
}

impl Reading<'_> {
    fn is_new(&mut self, number: usize) -> bool {
        let bit = 1 << (number % 64);
        match self.seen.get_mut(number / 64) {
            Some(seen) if *seen & bit == 0 => {
                *seen |= bit;
                true
            }
            _ => false,
        }
    }
}

struct Object<'r, 'a> {
    names: &'static Level,
    reading: &'r mut Reading<'a>,
}

impl<'a> DeserializeSeed<'a> for Object<'_, 'a> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_map(self)
    }
}

impl<'a> Visitor<'a> for Object<'_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of the schema")
    }

    fn visit_map<M: MapAccess<'a>>(self, mut map: M) -> Result<(), M::Error> {
        let untidy = || M::Error::custom("not as the schema has it");
        while let Some(name) = map.next_key_seed(Key(self.names))? {
            let name = name.ok_or_else(untidy)?;
            let number = match name.what {
                What::Field(place, _) | What::Labels(place) | What::Refused(place) => place,
                What::Object(number, _) => NAMES.fields.len() + number,
            };
            if !self.reading.is_new(number) {
                return Err(untidy());
            }
            match &name.what {
                _ if self.reading.in_pod && name.is_of_pod => {
                    map.next_value_seed(Unneeded { short: false })?;
                }
                What::Object(_, names) => {
                    let reading = &mut *self.reading;
                    map.next_value_seed(Object { names, reading })?;
                }
                What::Labels(_) => {
                    self.reading.labels = true;
                    map.next_value_seed(Labels)?;
                }
                What::Field(place, kind) => {
                    let value = map.next_value_seed(Fitting(*kind))?;
                    self.reading.members.push((*place, value));
                }
                What::Refused(_) => return Err(untidy()),
            }
        }
        Ok(())
    }
}

/// A name; None if the schema has none such here.
struct Key(&'static Level);

impl<'a> DeserializeSeed<'a> for Key {
    type Value = Option<&'static Name>;

    fn deserialize<D: Deserializer<'a>>(self, json: D) -> Result<Self::Value, D::Error> {
        json.deserialize_str(self)
    }
}

impl Visitor<'_> for Key {
    type Value = Option<&'static Name>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        Ok(self.0.get(key))
    }
}

/// A value that a field of this kind takes as it is.
struct Fitting(Kind);

impl<'a> DeserializeSeed<'a> for Fitting {
    type Value = Scalar<'a>;

    fn deserialize<D: Deserializer<'a>>(self, json: D) -> Result<Self::Value, D::Error> {
        json.deserialize_any(self)
    }
}

impl<'a> Visitor<'a> for Fitting {
    type Value = Scalar<'a>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a value of the kind {:?}", self.0)
    }

    fn visit_borrowed_str<E: Error>(self, text: &'a str) -> Result<Self::Value, E> {
        match self.0 {
            Kind::Keyword | Kind::Text | Kind::DateNanos => Ok(Scalar::Text(Cow::Borrowed(text))),
            _ => Err(E::custom("a text")),
        }
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        match self.0 {
            Kind::Keyword | Kind::Text | Kind::DateNanos => Ok(Scalar::Text(Cow::Owned(text.to_owned()))),
            _ => Err(E::custom("a text")),
        }
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Self::Value, E> {
        match self.0 {
            Kind::Long | Kind::Double => Ok(Scalar::Number(number.into())),
            _ => Err(E::custom("a number")),
        }
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Self::Value, E> {
        match self.0 {
            Kind::Double => Ok(Scalar::Number(number.into())),
            Kind::Long if i64::try_from(number).is_ok() => Ok(Scalar::Number(number.into())),
            _ => Err(E::custom("a number")),
        }
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Self::Value, E> {
        match (self.0, Number::from_f64(number)) {
            (Kind::Double, Some(number)) => Ok(Scalar::Number(number)),
            _ => Err(E::custom("a number")),
        }
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Self::Value, E> {
        match self.0 {
            Kind::Boolean => Ok(Scalar::Bool(value)),
            _ => Err(E::custom("true or false")),
        }
    }
}

/// Labels that leave no trace but in `kubernetes`: short texts.
struct Labels;

impl<'a> DeserializeSeed<'a> for Labels {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_map(self)
    }
}

impl<'a> Visitor<'a> for Labels {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("labels")
    }

    fn visit_map<M: MapAccess<'a>>(self, mut map: M) -> Result<(), M::Error> {
        while map.next_key_seed(Unneeded { short: true })?.is_some() {
            map.next_value_seed(Unneeded { short: true })?;
        }
        Ok(())
    }
}

/// A value that is not kept, but read as strictly as one that is.
struct Unneeded {
    /// Whether only a short text will do.
    short: bool,
}

/// Neither a name nor a value of a label that is so long is cut.
const SHORT_BYTES: usize = 512;

impl<'a> DeserializeSeed<'a> for Unneeded {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_any(self)
    }
}

impl<'a> Visitor<'a> for Unneeded {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a short text")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        if self.short && text.len() > SHORT_BYTES {
            return Err(E::custom("a long text"));
        }
        Ok(())
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        self.unless_short()
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        self.unless_short()
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        self.unless_short()
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        self.unless_short()
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.unless_short()
    }

    fn visit_seq<S: SeqAccess<'a>>(self, mut all: S) -> Result<(), S::Error> {
        self.unless_short()?;
        while all.next_element_seed(Self { short: false })?.is_some() {}
        Ok(())
    }

    fn visit_map<M: MapAccess<'a>>(self, mut map: M) -> Result<(), M::Error> {
        self.unless_short()?;
        while map.next_key_seed(Self { short: false })?.is_some() {
            map.next_value_seed(Self { short: false })?;
        }
        Ok(())
    }
}

impl Unneeded {
    fn unless_short<E: Error>(&self) -> Result<(), E> {
        if self.short {
            return Err(E::custom("no text"));
        }
        Ok(())
    }
}
