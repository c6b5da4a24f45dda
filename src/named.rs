//! Values that are written as a name: enums with names in the configuration, in metrics, in logs or on the command line, and
//! types of which `Debug` shows no more than their own name.

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

/// Implements `Debug` for types whose content is a secret, or says nothing.
macro_rules! debug_by_name {
    ($($type:ident $(<$parameter:ident>)?),*) => {$(
        impl$(<$parameter>)? std::fmt::Debug for $type$(<$parameter>)? {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(concat!(stringify!($type), "(..)"))
            }
        }
    )*};
}
