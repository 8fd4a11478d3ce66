//! Environment variables that backends read by themselves.

/// A variable that a backend reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    /// Its meaning, as text for documentation.
    pub meaning: &'static str,
    /// Its default, as text for documentation.
    pub default: &'static str,
}

/// Every variable of the backends that are compiled in.
#[cfg(feature = "aws")]
pub fn variables() -> Vec<Variable> {
    let of = |variable: &segue_adapter_aws::Variable| Variable {
        name: variable.name,
        meaning: variable.meaning,
        default: variable.default.unwrap_or("required"),
    };
    segue_adapter_aws::VARIABLES.iter().map(of).collect()
}

/// Every variable of the backends that are compiled in.
#[cfg(not(feature = "aws"))]
pub fn variables() -> Vec<Variable> {
    Vec::new()
}
