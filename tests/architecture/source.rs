//! Reads Rust source as far as needed to know which paths it names: no macro expansion, no name resolution.

/// One source file, by its path from the top of the repository, with `/` between folders.
#[derive(Debug, Clone)]
pub struct File {
    pub path: String,
    pub text: String,
}

/// A path as the source names it, such as `crate::base::Person`, `.elapsed` (a method) or `unsafe` (a keyword).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mention {
    pub line: usize,
    pub segments: Vec<String>,
    /// Names a `use` binds differently are worth a look of their own.
    pub alias: Option<String>,
    pub from_use: bool,
    /// Inside `#[cfg(test)]` or `#[test]`.
    pub in_test: bool,
    /// Modules of this file around it, outermost first.
    pub inside: Vec<String>,
}

impl Mention {
    pub fn path(&self) -> String {
        self.segments.join("::")
    }

    /// Whether `pattern`, such as `Instant::now`, stands somewhere in the path; `^` in front ties it to the beginning.
    pub fn has(&self, pattern: &str) -> bool {
        let (anchored, pattern) = pattern.strip_prefix('^').map_or((false, pattern), |rest| (true, rest));
        let wanted: Vec<&str> = pattern.split("::").collect();
        let mut places = self.segments.windows(wanted.len());
        if anchored { places.next().is_some_and(|place| place == wanted) } else { places.any(|place| place == wanted) }
    }
}

/// What a file says, in order.
#[derive(Debug, Default)]
pub struct Outline {
    pub mentions: Vec<Mention>,
    /// `mod name;` under `#[cfg(test)]`: the file of that name is test code.
    pub test_modules: Vec<String>,
    pub statics: Vec<Static>,
    /// Lines of `#[path = …]`, `include!` and `extern crate`, which would lead us past the folder structure.
    pub detours: Vec<usize>,
}

#[derive(Debug)]
pub struct Static {
    pub line: usize,
    /// All words of the item up to its value.
    pub names: Vec<String>,
    pub in_test: bool,
}

pub fn outline(text: &str) -> Outline {
    let tokens = tokens(text);
    let mut reader = Reader { tokens: &tokens, outline: Outline::default() };
    reader.items(0, tokens.len(), false, &mut Vec::new());
    reader.outline
}

struct Reader<'a> {
    tokens: &'a [Token],
    outline: Outline,
}

impl Reader<'_> {
    /// Reads the tokens `at..end`, all in one module.
    fn items(&mut self, mut at: usize, end: usize, in_test: bool, inside: &mut Vec<String>) {
        while at < end {
            match self.text(at) {
                "#" if matches!(self.text(at + 1), "[" | "!") => {
                    let is_inner = self.text(at + 1) == "!";
                    let open = if is_inner { at + 2 } else { at + 1 };
                    let close = self.close(open);
                    if self.text(open + 1) == "path" {
                        self.outline.detours.push(self.tokens[at].line);
                    }
                    let test_only = self.is_test_attribute(open, close);
                    self.paths(open, close, in_test, inside);
                    at = close + 1;
                    if test_only {
                        let scope_end = if is_inner { end } else { self.item_end(self.behind_attributes(at), end) };
                        self.items(at, scope_end, true, inside);
                        at = scope_end;
                    }
                }
                "use" if self.text(at + 1) != "<" => {
                    let item_end = self.find(at, end, ";");
                    self.use_tree(at + 1, item_end, &[], in_test, inside);
                    at = item_end + 1;
                }
                "mod" if self.text(at + 2) == "{" => {
                    let close = self.close(at + 2);
                    inside.push(self.text(at + 1).to_owned());
                    self.items(at + 3, close, in_test, inside);
                    inside.pop();
                    at = close + 1;
                }
                "mod" if self.text(at + 2) == ";" => {
                    if in_test {
                        self.outline.test_modules.push(self.text(at + 1).to_owned());
                    }
                    at += 3;
                }
                "extern" if self.text(at + 1) == "crate" => {
                    self.outline.detours.push(self.tokens[at].line);
                    at += 2;
                }
                "static" if self.text(at + 1) != "|" => {
                    let item_end = self.find(at, end, "=");
                    let names = (at..item_end).map(|at| self.text(at).to_owned()).collect();
                    self.outline.statics.push(Static { line: self.tokens[at].line, names, in_test });
                    at += 1;
                }
                _ => at = self.path(at, in_test, inside),
            }
        }
    }

    /// Mentions in a stretch without items, such as an attribute.
    fn paths(&mut self, mut at: usize, end: usize, in_test: bool, inside: &[String]) {
        while at < end {
            at = self.path(at, in_test, inside);
        }
    }

    /// Reads one path, or one token that begins none; returns the place behind it.
    fn path(&mut self, at: usize, in_test: bool, inside: &[String]) -> usize {
        let token = &self.tokens[at];
        if !token.is_name {
            return at + 1;
        }
        let mut segments = vec![token.text.clone()];
        let before = at.checked_sub(1).map_or("", |before| self.text(before));
        let is_range = before == "." && at.checked_sub(2).is_some_and(|at| self.text(at) == ".");
        if before == "." && !is_range {
            segments[0].insert(0, '.');
        }
        let mut next = at + 1;
        while self.text(next) == "::" && self.is_name(next + 1) {
            segments.push(self.text(next + 1).to_owned());
            next += 2;
        }
        if segments == ["include"] && self.text(next) == "!" {
            self.outline.detours.push(token.line);
        }
        let line = token.line;
        self.mention(line, segments, None, false, in_test, inside);
        next
    }

    /// Flattens `a::{b, c::{self, d as e}}`.
    fn use_tree(&mut self, at: usize, end: usize, prefix: &[String], in_test: bool, inside: &[String]) {
        let mut segments = prefix.to_vec();
        let mut alias = None;
        let mut at = at;
        while at < end {
            match self.text(at) {
                "{" => {
                    let close = self.close(at);
                    let mut branch = at + 1;
                    while branch < close {
                        let branch_end = self.find_at_depth_0(branch, close, ",");
                        self.use_tree(branch, branch_end, &segments, in_test, inside);
                        branch = branch_end + 1;
                    }
                    return;
                }
                "as" => {
                    alias = Some(self.text(at + 1).to_owned());
                    break;
                }
                "::" => {}
                name => segments.push(name.to_owned()),
            }
            at += 1;
        }
        let Some(last) = at.checked_sub(1) else { return };
        if segments.len() > prefix.len() {
            let line = self.tokens[last].line;
            self.mention(line, segments, alias, true, in_test, inside);
        }
    }

    fn mention(
        &mut self,
        line: usize,
        segments: Vec<String>,
        alias: Option<String>,
        from_use: bool,
        in_test: bool,
        inside: &[String],
    ) {
        let inside = inside.to_vec();
        self.outline.mentions.push(Mention { line, segments, alias, from_use, in_test, inside });
    }

    /// `#[cfg(test)]`, `#[cfg(all(test, …))]`, `#[test]`, `#[tokio::test(…)]`.
    fn is_test_attribute(&self, open: usize, close: usize) -> bool {
        let words: Vec<&str> = (open..close).map(|at| self.text(at)).filter(|word| is_name(word)).collect();
        match words[..] {
            ["test"] | ["tokio", "test", ..] => true,
            ["cfg", ..] => words.contains(&"test") && !words.contains(&"not") && !words.contains(&"any"),
            _ => false,
        }
    }

    fn behind_attributes(&self, at: usize) -> usize {
        let mut item = at;
        while self.text(item) == "#" {
            item = self.close(item + 1) + 1;
        }
        item
    }

    /// The place behind the item that begins at `at`: its `;`, or its outermost `}`.
    fn item_end(&self, at: usize, end: usize) -> usize {
        let ends_with_semicolon = self.text(at) == "use" || (self.text(at) == "pub" && self.text(at + 1) == "use");
        let mut place = at;
        while place < end {
            match self.text(place) {
                ";" => return place + 1,
                "{" if !ends_with_semicolon => return self.close(place) + 1,
                "(" | "[" | "{" => place = self.close(place) + 1,
                _ => place += 1,
            }
        }
        end
    }

    /// The bracket that closes the one at `open`.
    fn close(&self, open: usize) -> usize {
        let mut depth = 0;
        for at in open..self.tokens.len() {
            match self.text(at) {
                "(" | "[" | "{" => depth += 1,
                ")" | "]" | "}" => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                return at;
            }
        }
        self.tokens.len()
    }

    fn find(&self, at: usize, end: usize, wanted: &str) -> usize {
        (at..end).find(|&at| self.text(at) == wanted).unwrap_or(end)
    }

    fn find_at_depth_0(&self, at: usize, end: usize, wanted: &str) -> usize {
        let mut place = at;
        while place < end && self.text(place) != wanted {
            place = if self.text(place) == "{" { self.close(place) + 1 } else { place + 1 };
        }
        place.min(end)
    }

    fn text(&self, at: usize) -> &str {
        self.tokens.get(at).map_or("", |token| token.text.as_str())
    }

    fn is_name(&self, at: usize) -> bool {
        self.tokens.get(at).is_some_and(|token| token.is_name)
    }
}

#[derive(Debug)]
struct Token {
    line: usize,
    text: String,
    is_name: bool,
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// Names, `::` and single punctuation marks; comments, literals and lifetimes are left out.
fn tokens(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = text;
    let mut line = 1;
    while let Some(first) = rest.chars().next() {
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            block_comment(rest)
        } else if let Some(length) = literal(rest) {
            length
        } else if first == '_' || first.is_alphanumeric() {
            let raw = if rest.starts_with("r#") { 2 } else { 0 };
            let name_end = |c: char| c != '_' && !c.is_alphanumeric();
            let length = rest[raw..].find(name_end).map_or(rest.len(), |end| raw + end);
            let text = rest[raw..length].to_owned();
            tokens.push(Token { line, is_name: is_name(&text), text });
            length
        } else if first.is_whitespace() {
            first.len_utf8()
        } else {
            let length = if rest.starts_with("::") { 2 } else { first.len_utf8() };
            tokens.push(Token { line, text: rest[..length].to_owned(), is_name: false });
            length
        };
        line += rest[..length].matches('\n').count();
        rest = &rest[length..];
    }
    tokens
}

/// Length of a block comment, which may hold others.
fn block_comment(text: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < text.len() {
        match &text.as_bytes()[at..] {
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    text.len()
}

/// Length of the string, character or lifetime that begins here.
fn literal(text: &str) -> Option<usize> {
    let unprefixed = text.trim_start_matches(['b', 'c', 'r']);
    let prefix = text.len() - unprefixed.len();
    if prefix > 2 {
        return None;
    }
    if text[..prefix].ends_with('r') {
        let hashes = unprefixed.len() - unprefixed.trim_start_matches('#').len();
        unprefixed[hashes..].starts_with('"').then_some(())?;
        let closing = format!("\"{}", "#".repeat(hashes));
        let body = prefix + hashes + 1;
        return Some(text[body..].find(&closing).map_or(text.len(), |end| body + end + closing.len()));
    }
    let quote = unprefixed.chars().next().filter(|quote| matches!(quote, '"' | '\''))?;
    let body = &unprefixed[1..];
    if quote == '\'' && !is_character(body) {
        // A lifetime, or a loop's label.
        let name_end = |c: char| c != '_' && !c.is_alphanumeric();
        return (prefix == 0).then(|| 1 + body.find(name_end).unwrap_or(body.len()));
    }
    let mut escaped = false;
    for (at, c) in body.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if c == quote => return Some(prefix + 1 + at + 1),
            _ => {}
        }
    }
    Some(text.len())
}

/// `'a'` and `'\n'` are characters, `'a` is a lifetime.
fn is_character(body: &str) -> bool {
    let mut chars = body.chars();
    match chars.next() {
        Some('\\') => true,
        Some(_) => chars.next() == Some('\''),
        None => false,
    }
}
