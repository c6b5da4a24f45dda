//! Enums whose values have names: in the configuration, in metrics, in logs or on the command line.

/// Declares an enum with the name of each value: `Value = "name"`.
macro_rules! named {
    (
        $(#[$meta:meta])*
        $visibility:vis enum $type:ident {
            $($(#[$of:meta])* $value:ident = $name:literal,)*
        }
    ) => {
        $(#[$meta])*
        $visibility enum $type {
            $($(#[$of])* $value,)*
        }

        impl $type {
            /// All values, in the order in which they are declared.
            $visibility const ALL: [Self; [$($name),*].len()] = [$(Self::$value),*];

            /// Returns the name.
            $visibility fn name(self) -> &'static str {
                match self {
                    $(Self::$value => $name,)*
                }
            }
        }
    };
}
