//! What we want of the HTML parser: what it complains about. No tree is kept.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::rc::Rc;

use html5ever::tendril::StrTendril;
use html5ever::tree_builder::{ElementFlags, NodeOrText, QuirksMode, TreeSink};
use html5ever::{Attribute, ExpandedName, LocalName, Namespace, QualName};

/// What the parser complains about, each with its line.
pub(super) type Errors = Vec<(usize, String)>;

#[derive(Default)]
pub(super) struct Sink {
    errors: RefCell<Errors>,
    line: Cell<usize>,
}

/// A node is no more than its name: two are the same if they are one.
type Node = Rc<QualName>;

fn nameless() -> Node {
    Rc::new(QualName::new(None, Namespace::default(), LocalName::default()))
}

impl TreeSink for Sink {
    type Handle = Node;
    type Output = Errors;
    type ElemName<'a> = ExpandedName<'a>;

    fn finish(self) -> Errors {
        self.errors.into_inner()
    }

    fn parse_error(&self, message: Cow<'static, str>) {
        self.errors.borrow_mut().push((self.line.get().max(1), message.into_owned()));
    }

    fn set_current_line(&self, line: u64) {
        self.line.set(usize::try_from(line).unwrap_or(usize::MAX));
    }

    fn create_element(&self, name: QualName, _: Vec<Attribute>, _: ElementFlags) -> Node {
        Rc::new(name)
    }

    fn elem_name<'a>(&'a self, target: &'a Node) -> ExpandedName<'a> {
        target.expanded()
    }

    fn same_node(&self, x: &Node, y: &Node) -> bool {
        Rc::ptr_eq(x, y)
    }

    fn get_document(&self) -> Node {
        nameless()
    }

    fn get_template_contents(&self, _: &Node) -> Node {
        nameless()
    }

    fn create_comment(&self, _: StrTendril) -> Node {
        nameless()
    }

    fn create_pi(&self, _: StrTendril, _: StrTendril) -> Node {
        nameless()
    }

    fn add_attrs_if_missing(&self, _: &Node, _: Vec<Attribute>) {}
    fn append(&self, _: &Node, _: NodeOrText<Node>) {}
    fn append_based_on_parent_node(&self, _: &Node, _: &Node, _: NodeOrText<Node>) {}
    fn append_before_sibling(&self, _: &Node, _: NodeOrText<Node>) {}
    fn append_doctype_to_document(&self, _: StrTendril, _: StrTendril, _: StrTendril) {}
    fn set_quirks_mode(&self, _: QuirksMode) {}
    fn remove_from_parent(&self, _: &Node) {}
    fn reparent_children(&self, _: &Node, _: &Node) {}
}
