//! Brackets: a document spread over form fields, `user_data[company][plan]=pro`, as PHP, Rack and `qs` read it where they agree.

use std::borrow::Cow;
use std::collections::HashMap;

use crate::decision::Value;
use crate::policy::Limits;

/// Why bracket fields are no document that every backend reads alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BracketsError {
    #[error("brackets do not pair")]
    Unbalanced,
    #[error("brackets have nothing between them")]
    EmptySegment,
    #[error("brackets nest too deeply")]
    TooDeep,
    #[error("a name between brackets is too long")]
    NameTooLong,
    #[error("a value is too long")]
    TextTooLong,
    #[error("a name stands twice")]
    NameTwice,
    #[error("a name is both a text and an object")]
    Mixed,
    #[error("a list's indices do not count from zero, or stand among names")]
    Indices,
}

/// The fields of one document, put together again.
#[derive(Debug, Default)]
pub(super) struct Brackets<'a> {
    nodes: Vec<Node<'a>>,
    /// From a node and a segment to the node below: so that many fields cost no more than their sum.
    below: HashMap<(usize, &'a str), usize>,
}

#[derive(Debug)]
struct Node<'a> {
    segment: &'a str,
    text: Option<&'a str>,
    children: Vec<usize>,
}

impl<'a> Brackets<'a> {
    /// Adds one field: `path` is what follows the document's name, `[company][plan]`.
    pub(super) fn add(&mut self, path: &'a str, text: &'a str, limits: &Limits) -> Result<(), BracketsError> {
        if text.len() > limits.text_bytes_max {
            return Err(BracketsError::TextTooLong);
        }
        if self.nodes.is_empty() {
            self.nodes.push(Node { segment: "", text: None, children: Vec::new() });
        }
        let mut at = 0;
        let mut rest = path;
        let mut depth = 0;
        while !rest.is_empty() {
            let (segment, after) =
                rest.strip_prefix('[').and_then(|rest| rest.split_once(']')).ok_or(BracketsError::Unbalanced)?;
            if segment.is_empty() {
                return Err(BracketsError::EmptySegment);
            }
            if segment.contains('[') {
                return Err(BracketsError::Unbalanced);
            }
            if segment.len() > limits.name_bytes_max {
                return Err(BracketsError::NameTooLong);
            }
            depth += 1;
            if depth > limits.json_depth_max.min(super::json::DEPTH_CEILING) {
                return Err(BracketsError::TooDeep);
            }
            at = self.child(at, segment)?;
            rest = after;
        }
        match self.nodes.get_mut(at) {
            Some(node) if node.text.is_some() => Err(BracketsError::NameTwice),
            Some(node) if !node.children.is_empty() => Err(BracketsError::Mixed),
            Some(node) => {
                node.text = Some(text);
                Ok(())
            }
            None => Err(BracketsError::Unbalanced),
        }
    }

    fn child(&mut self, at: usize, segment: &'a str) -> Result<usize, BracketsError> {
        if let Some(child) = self.below.get(&(at, segment)) {
            return Ok(*child);
        }
        let child = self.nodes.len();
        match self.nodes.get_mut(at) {
            Some(Node { text: None, children, .. }) => children.push(child),
            Some(Node { text: Some(_), .. }) | None => return Err(BracketsError::Mixed),
        }
        self.nodes.push(Node { segment, text: None, children: Vec::new() });
        self.below.insert((at, segment), child);
        Ok(child)
    }

    /// The document: objects, lists where the names are indices, and texts.
    pub(super) fn value(&self) -> Result<Value<'a>, BracketsError> {
        self.nodes.first().map_or(Ok(Value::Object(Vec::new())), |root| self.value_of(root))
    }

    fn value_of(&self, node: &Node<'a>) -> Result<Value<'a>, BracketsError> {
        if let Some(text) = node.text {
            return Ok(Value::Text(Cow::Borrowed(text)));
        }
        let children = || node.children.iter().filter_map(|child| self.nodes.get(*child));
        if !children().any(|child| is_index(child.segment)) {
            let entries = children().map(|child| Ok((Cow::Borrowed(child.segment), self.value_of(child)?)));
            return entries.collect::<Result<_, _>>().map(Value::Object);
        }
        // Backends disagree on `[1]` without `[0]`, on `[00]`, and on indices among names: hash or list, sorted or not.
        let in_order = children().enumerate().all(|(index, child)| child.segment == index.to_string());
        if !in_order {
            return Err(BracketsError::Indices);
        }
        children().map(|child| self.value_of(child)).collect::<Result<_, _>>().map(Value::List)
    }
}

pub(super) fn is_index(segment: &str) -> bool {
    segment.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether `name` can stand between brackets and come back as itself.
pub(super) fn can_spell(name: &str) -> bool {
    !name.is_empty() && !name.contains(['[', ']', '\0']) && !is_index(name)
}

#[cfg(test)]
mod tests {
    use super::super::json;
    use super::*;

    fn read(fields: &[(&str, &str)], limits: &Limits) -> Result<String, BracketsError> {
        let mut brackets = Brackets::default();
        for (path, text) in fields {
            brackets.add(path, text, limits)?;
        }
        let mut out = Vec::new();
        json::write(&brackets.value()?, &mut out);
        Ok(String::from_utf8(out).expect("UTF-8"))
    }

    #[track_caller]
    fn check(paths: &[&str], expected: Result<&str, BracketsError>) {
        let fields: Vec<(&str, &str)> = paths.iter().map(|path| (*path, "x")).collect();
        assert_eq!(read(&fields, &Limits::default()), expected.map(str::to_owned), "{paths:?}");
    }

    #[test]
    fn fields_make_objects_and_lists() {
        check(&["[plan]"], Ok(r#"{"plan":"x"}"#));
        check(&["[b]", "[a]"], Ok(r#"{"b":"x","a":"x"}"#));
        check(&["[c][plan]", "[d]", "[c][name]"], Ok(r#"{"c":{"plan":"x","name":"x"},"d":"x"}"#));
        check(&["[c][0][plan]", "[c][0][id]", "[c][1][plan]"], Ok(r#"{"c":[{"plan":"x","id":"x"},{"plan":"x"}]}"#));
        check(&["[a.b c]"], Ok(r#"{"a.b c":"x"}"#));
        check(&["[0]", "[1]"], Ok(r#"["x","x"]"#));
    }

    #[test]
    fn what_backends_read_differently_is_refused() {
        check(&["[plan"], Err(BracketsError::Unbalanced));
        check(&["[plan]]"], Err(BracketsError::Unbalanced));
        check(&["[[plan]]"], Err(BracketsError::Unbalanced));
        check(&["[plan]x"], Err(BracketsError::Unbalanced));
        check(&["[plan]x[y]"], Err(BracketsError::Unbalanced));
        check(&["[]"], Err(BracketsError::EmptySegment));
        check(&["[tags][]"], Err(BracketsError::EmptySegment));
        check(&["[][plan]"], Err(BracketsError::EmptySegment));
        check(&["[plan]", "[plan]"], Err(BracketsError::NameTwice));
        check(&["[c]", "[c][plan]"], Err(BracketsError::Mixed));
        check(&["[c][plan]", "[c]"], Err(BracketsError::Mixed));
        check(&["[c][1]"], Err(BracketsError::Indices));
        check(&["[c][1]", "[c][0]"], Err(BracketsError::Indices));
        check(&["[c][0]", "[c][2]"], Err(BracketsError::Indices));
        check(&["[c][00]"], Err(BracketsError::Indices));
        check(&["[c][0]", "[c][plan]"], Err(BracketsError::Indices));
    }

    #[test]
    fn depth_names_and_texts_have_limits() {
        let limits = Limits { json_depth_max: 2, name_bytes_max: 2, text_bytes_max: 2, ..Limits::default() };
        assert!(read(&[("[aa][bb]", "cc")], &limits).is_ok());
        assert_eq!(read(&[("[a][b][c]", "d")], &limits), Err(BracketsError::TooDeep));
        assert_eq!(read(&[("[aaa]", "d")], &limits), Err(BracketsError::NameTooLong));
        assert_eq!(read(&[("[a]", "ddd")], &limits), Err(BracketsError::TextTooLong));
    }

    #[test]
    fn names_that_brackets_cannot_hold_are_known() {
        for name in ["", "a[b", "a]b", "0", "12"] {
            assert!(!can_spell(name), "{name}");
        }
        assert!(can_spell("a0"));
    }
}
