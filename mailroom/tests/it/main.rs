//! The crate from outside: published vectors, and laws that hold for any input.

#[cfg(test)]
mod laws;
#[cfg(test)]
mod vectors;
