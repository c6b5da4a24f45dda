//! Sets of metrics, each declared once, with its name and its help text.
//!
//! Not here: the registry (`metrics`).

/// Declares the metrics of a module as a struct. What follows the type of a field is the metric's name and help text; a field
/// without them is no metric.
macro_rules! metric_set {
    (
        $(#[$meta:meta])*
        $visibility:vis struct $set:ident {
            $($(#[$doc:meta])* $of:vis $field:ident: $type:ty $(= $name:literal, $help:expr)?;)*
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug, Default)]
        $visibility struct $set {
            $($(#[$doc])* $of $field: $type,)*
        }

        impl $set {
            /// Adds the metrics to a registry.
            $visibility fn add_to(&self, registry: &mut prometheus_client::registry::Registry) {
                $($(registry.register($name, $help, self.$field.clone());)?)*
            }
        }
    };
}

pub(crate) use metric_set;
