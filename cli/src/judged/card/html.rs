//! Writes HTML in which no text of an object can become markup: what is written as it stands is part of the program, all else
//! is escaped.

use std::fmt::Display;

use crate::judged::text::is_odd;

/// A piece of HTML.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Html(String);

impl Html {
    /// Markup of the program's own.
    pub(super) fn raw(&mut self, markup: &'static str) -> &mut Self {
        self.0.push_str(markup);
        self
    }

    /// Text between tags, or within the double quotes of an attribute.
    pub(super) fn text(&mut self, text: impl Display) -> &mut Self {
        for c in text.to_string().chars() {
            match c {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                '\n' | '\t' => self.0.push(' '),
                c if is_odd(c) => self.0.push(char::REPLACEMENT_CHARACTER),
                c => self.0.push(c),
            }
        }
        self
    }

    /// Another piece.
    pub(super) fn add(&mut self, other: &Self) -> &mut Self {
        self.0.push_str(&other.0);
        self
    }

    /// A paragraph.
    pub(super) fn paragraph(&mut self, text: impl Display) -> &mut Self {
        self.raw("<p>").text(text).raw("</p>\n")
    }

    /// A paragraph in smaller letters.
    pub(super) fn note(&mut self, text: impl Display) -> &mut Self {
        self.raw("<p class=\"note\">").text(text).raw("</p>\n")
    }

    /// A term with what is said of it.
    pub(super) fn fact(&mut self, term: &'static str, text: impl Display) -> &mut Self {
        self.raw("<dt>").raw(term).raw("</dt><dd>").text(text).raw("</dd>\n")
    }

    /// A list; nothing where it is empty.
    pub(super) fn list<T: Display>(&mut self, items: impl IntoIterator<Item = T>) -> &mut Self {
        let mut items = items.into_iter().peekable();
        if items.peek().is_none() {
            return self;
        }
        self.raw("<ul>\n");
        for item in items {
            self.raw("<li>").text(item).raw("</li>\n");
        }
        self.raw("</ul>\n")
    }

    /// A table whose first column names its rows.
    pub(super) fn table<const N: usize>(
        &mut self,
        caption: &str,
        head: [&'static str; N],
        rows: &[[String; N]],
    ) -> &mut Self {
        self.raw("<div class=\"table\" tabindex=\"0\"><table>\n<caption>").text(caption).raw("</caption>\n<thead><tr>");
        for cell in head {
            self.raw("<th scope=\"col\">").raw(cell).raw("</th>");
        }
        self.raw("</tr></thead>\n<tbody>\n");
        for row in rows {
            self.raw("<tr>");
            for (number, cell) in row.iter().enumerate() {
                match number {
                    0 => self.raw("<th scope=\"row\">").text(cell).raw("</th>"),
                    _ => self.raw("<td>").text(cell).raw("</td>"),
                };
            }
            self.raw("</tr>\n");
        }
        self.raw("</tbody></table></div>\n")
    }

    /// The HTML as text.
    pub(super) fn into_text(self) -> String {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_never_becomes_markup() {
        let mut html = Html::default();
        html.raw("<a href=\"").text("\"><script>'&\u{202e}\u{0}").raw("\">").list(Vec::<String>::new());
        assert_eq!(html.into_text(), "<a href=\"&quot;&gt;&lt;script&gt;&#39;&amp;\u{fffd}\u{fffd}\">");
    }
}
