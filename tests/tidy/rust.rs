//! Enough of Rust's grammar to tell code from comments, texts and tests, and to read the paths that code names.

use std::iter::Peekable;
use std::str::CharIndices;

use crate::tree::File;

/// A word or a sign (`::` is one sign), and the line on which it stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Token<'t> {
    pub line: usize,
    pub text: &'t str,
}

/// A path as code names it, groups taken apart: `use a::{b, c::d}` names `a::b` and `a::c::d`.
#[derive(PartialEq, Eq, Debug)]
pub struct Path<'t> {
    pub line: usize,
    pub names: Vec<&'t str>,
}

/// The tokens of what is compiled outside tests: no comments, no texts, nothing under `#[cfg(test)]`.
pub fn code(text: &str) -> Vec<Token<'_>> {
    without_tests(&tokens(text))
}

fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut line = 1;
    let mut at = text.char_indices().peekable();
    while let Some((start, character)) = at.next() {
        let rest = &text[start..];
        if rest.starts_with("//") {
            while at.next_if(|(_, next)| *next != '\n').is_some() {}
        } else if rest.starts_with("/*") {
            line += skip(&mut at, block_comment(rest) - 1);
        } else if let Some(length) = literal(rest) {
            line += skip(&mut at, length - character.len_utf8());
        } else if character == '\n' {
            line += 1;
        } else if is_word(character) {
            let length = rest.find(|next| !is_word(next)).unwrap_or(rest.len());
            skip(&mut at, length - character.len_utf8());
            tokens.push(Token { line, text: &rest[..length] });
        } else if rest.starts_with("::") {
            at.next();
            tokens.push(Token { line, text: "::" });
        } else if !character.is_whitespace() {
            tokens.push(Token { line, text: &rest[..character.len_utf8()] });
        }
    }
    tokens
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

/// Steps over so many bytes; how many lines ended in them.
fn skip(at: &mut Peekable<CharIndices<'_>>, bytes: usize) -> usize {
    let Some((start, _)) = at.peek().copied() else { return 0 };
    let mut lines = 0;
    while let Some((_, character)) = at.next_if(|(here, _)| *here < start + bytes) {
        lines += usize::from(character == '\n');
    }
    lines
}

/// How long the comment is with which `text` begins; they nest.
fn block_comment(text: &str) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < text.len() {
        let rest = &text.as_bytes()[at..];
        if rest.starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if rest.starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    at
}

/// How long the text or character is with which `text` begins, if it begins with one. `'a` alone is a lifetime.
fn literal(text: &str) -> Option<usize> {
    let prefix = ["br", "cr", "b", "c", "r", ""].into_iter().find(|prefix| {
        text.strip_prefix(prefix)
            .is_some_and(|rest| rest.trim_start_matches('#').starts_with('"') || rest.starts_with('\''))
    })?;
    let rest = &text[prefix.len()..];
    if prefix.ends_with('r') {
        let hashes = rest.len() - rest.trim_start_matches('#').len();
        let end = format!("\"{}", "#".repeat(hashes));
        let body = prefix.len() + hashes + 1;
        return Some(text[body..].find(&end).map_or(text.len(), |length| body + length + end.len()));
    }
    let quote = rest.chars().next().filter(|quote| matches!(quote, '"' | '\''))?;
    let mut escaped = false;
    for (at, character) in rest.char_indices().skip(1) {
        if escaped {
            escaped = false;
        } else if character == '\\' {
            escaped = true;
        } else if character == quote {
            return Some(prefix.len() + at + 1);
        } else if quote == '\'' && at > 1 && !rest.starts_with("'\\") {
            return None;
        }
    }
    (quote == '"').then_some(text.len())
}

const CFG_TEST: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];

fn without_tests<'t>(tokens: &[Token<'t>]) -> Vec<Token<'t>> {
    let mut code = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        if starts_with(&tokens[at..], &CFG_TEST) {
            at += item(&tokens[at..]);
        } else {
            code.push(tokens[at]);
            at += 1;
        }
    }
    code
}

fn starts_with(tokens: &[Token<'_>], texts: &[&str]) -> bool {
    tokens.len() >= texts.len() && tokens.iter().zip(texts).all(|(token, text)| token.text == *text)
}

/// How many tokens the item takes that begins here with its attributes: up to its `;`, its `,` or the end of its braces.
fn item(tokens: &[Token<'_>]) -> usize {
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate() {
        match token.text {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => {
                depth = depth.saturating_sub(1);
                // `use a::{b};` and `struct A { .. }` end here alike; a `;` that is left over hurts nobody.
                if depth == 0 && token.text == "}" {
                    return at + 1;
                }
            }
            ";" | "," if depth == 0 => return at + 1,
            _ => {}
        }
    }
    tokens.len()
}

/// Files that are compiled only in tests, since a module that is only compiled in tests names them: their names without `.rs`.
pub fn test_modules(file: &File) -> Vec<String> {
    let tokens = tokens(&file.text);
    let folder = match file.name.trim_end_matches(".rs") {
        "src/lib" | "src/main" => "src",
        module => module,
    };
    let mut found = Vec::new();
    for at in 0..tokens.len() {
        if starts_with(&tokens[at..], &CFG_TEST) {
            let item = &tokens[at..at + item(&tokens[at..])];
            if let [.., module, name, end] = item
                && (module.text, end.text) == ("mod", ";")
            {
                found.push(format!("{folder}/{}", name.text));
            }
        }
    }
    found
}

/// Every path that these tokens name; a single word is a path of one name.
pub fn paths<'t>(tokens: &[Token<'t>]) -> Vec<Path<'t>> {
    let mut paths = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        if tokens[at].text.starts_with(is_word) {
            at += path(&tokens[at..], &[], &mut paths);
        } else {
            at += 1;
        }
    }
    paths
}

/// Reads one path behind `before`; how many tokens it took.
fn path<'t>(tokens: &[Token<'t>], before: &[&'t str], paths: &mut Vec<Path<'t>>) -> usize {
    let mut names = before.to_vec();
    let mut at = 0;
    while at < tokens.len() && tokens[at].text.starts_with(is_word) {
        names.push(tokens[at].text);
        at += 1;
        if tokens.get(at).is_none_or(|token| token.text != "::") {
            break;
        }
        if tokens.get(at + 1).is_some_and(|token| token.text == "{") {
            at += 2;
            while at < tokens.len() && tokens[at].text != "}" {
                // `as other` names nothing that was not named before it.
                at += if tokens[at].text == "as" { 2 } else { path(&tokens[at..], &names, paths).max(1) };
            }
            return at + 1;
        }
        at += 1;
    }
    if at > 0 {
        paths.push(Path { line: tokens[0].line, names });
    }
    at
}

#[test]
fn code_is_what_is_neither_comment_nor_text_nor_test() {
    let words = |text| code(text).iter().map(|token| token.text).collect::<Vec<_>>().join(" ");
    assert_eq!(words("a // b\nc /* d /* e */ f */ g"), "a c g");
    assert_eq!(words(r##"a "b \" c" d r#"e " f"# g b"h" i"##), "a d g i");
    assert_eq!(words(r"a '\'' b 'x' c '{' d '\u{7f}' e<'f> 'g: h"), "a b c d e < ' f > ' g : h");
    assert_eq!(words("a #[cfg(test)] mod tests { fn b() {} } c"), "a c");
    assert_eq!(words("a #[cfg(test)] #[path = \"x\"] pub mod b; c"), "a c");
    assert_eq!(
        words("a #[cfg(test)] fn b(c: [u8; 2]) { d; } e #[cfg(not(test))] f"),
        "a e # [ cfg ( not ( test ) ) ] f"
    );
    assert_eq!(code("a\n\"\n\"\n/*\n*/ b")[1], Token { line: 5, text: "b" });
}

#[test]
fn paths_are_taken_apart() {
    let names = |text| {
        let tokens = code(text);
        paths(&tokens).iter().map(|path| path.names.join("::")).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(names("use a::{b, c::{self, d}, e as f}; g"), "use a::b a::c::self a::c::d a::e g");
    assert_eq!(names("a.b(c::d::<E>::f())"), "a b c::d E f");
}

#[test]
fn modules_of_tests_are_known() {
    let file = |name: &str, text: &str| File { name: name.to_owned(), text: text.to_owned() };
    let text = "#[cfg(test)]\nmod tests;\nmod judge;\n#[cfg(test)]\npub(super) mod more;\n#[cfg(test)]\nmod inline {}";
    assert_eq!(test_modules(&file("src/decision.rs", text)), ["src/decision/tests", "src/decision/more"]);
    assert_eq!(test_modules(&file("src/lib.rs", "#[cfg(test)] mod tests;")), ["src/tests"]);
}
