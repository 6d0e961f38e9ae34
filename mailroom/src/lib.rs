#![doc = include_str!("../README.md")]
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![forbid(unsafe_code)]

mod action;
mod code;
pub mod line;
mod secret;
mod secret_key;
mod signature;
mod token;

pub use action::{Action, ActionNumber, InvalidAction};
pub use code::{Code, InvalidCode};
pub use secret::{InvalidSecret, Secret};
pub use secret_key::{InvalidSecretKey, SecretKey};
pub use signature::{MissingCode, sign, verify};
pub use token::{Invalid, Token};
