//! The classes of objects that the worker detects.

/// Calls a macro with the table of classes: a row `[Person person "People found."]` for each, with its name in code, its
/// name in messages, settings, metrics and log fields, and the meaning of its log field.
///
/// This is the only list of classes. The table is here because both services and the log fields depend on this crate.
/// After a change, the compiler names the missing properties in `imaging::Class`; then run `make generate`.
#[macro_export]
macro_rules! with_classes {
    ($callback:ident) => {
        $callback! {
            [Person person "People found."]
            [Face face "Faces found."]
            [Bicycle bicycle "Bicycles found."]
            [Car car "Cars found."]
            [Motorcycle motorcycle "Motorcycles found."]
            [Bus bus "Buses found."]
            [Truck truck "Trucks found."]
        }
    };
}
