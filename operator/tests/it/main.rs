//! The program as an operator runs it, against folders of templates and a double of SES.

mod build;
mod golang_migrate;
mod key;
mod lint;
mod manual;
mod migrate;
mod preview;
mod pull;
mod push;
mod support;
mod token;
