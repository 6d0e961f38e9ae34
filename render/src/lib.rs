//! Templates of mail, in the repository where they can be reviewed: `<action>/<locale>/` with
//! `subject.txt`, `body.html` and `body.txt`, in the Handlebars that Amazon SES speaks.
//!
//! A [`Catalogue`] is what such a folder holds; [`Catalogue::find`] picks the template for a
//! recipient's locale; [`Template::render`] fills it with [`Variables`]. Nothing is escaped while
//! rendering, as SES escapes nothing: a text variable `x` has a sibling `x_html` that is escaped
//! already, and a variable that is missing is an error, never a blank.

mod catalogue;
mod locale;
mod template;
mod variables;

pub use catalogue::{Catalogue, FILES, LoadError};
pub use locale::{InvalidLocale, Locale, Locales};
pub use template::{Letter, Problem, Template};
pub use variables::{RESERVED, Variables};
