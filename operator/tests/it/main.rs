//! The program as an operator runs it, against folders of templates and a double of SES.

mod build;
mod key;
mod lint;
mod preview;
mod pull;
mod push;
mod support;
mod token;
