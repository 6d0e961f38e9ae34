//! `mailroom doctor` on set-ups that are broken in one way each: it is named, with its remedy.

mod database;
mod provider;
mod settings;
mod support;
