//! Who is meant: a link, or the name of a contact.

use super::{Contact, Failure};
use crate::call::group::{ParseTicketError, Ticket};
use crate::identity::{Link, ParseLinkError};

const PREFIX: &str = "twocans:";

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whom {
    Link(Link),
    Name(String),
}

/// Anything that starts like a link has to be one, so that a typo is not taken for a name.
///
/// # Errors
/// A usage failure that says what is wrong with the link.
pub fn parse(text: &str) -> Result<Whom, Failure> {
    let text = text.trim();
    let starts_like_a_link = text.get(..PREFIX.len()).is_some_and(|start| start.eq_ignore_ascii_case(PREFIX));
    if starts_like_a_link {
        return link(text).map(Whom::Link);
    }
    if text.is_empty() {
        return Err(Failure::usage("whom? Give a twocans: link or the name of a contact"));
    }
    // 52 letters and digits are a key that has lost its prefix.
    match format!("{PREFIX}{text}").parse() {
        Ok(link) if text.len() >= 52 => Ok(Whom::Link(link)),
        _ => Ok(Whom::Name(text.to_owned())),
    }
}

/// # Errors
/// A usage failure that says what is wrong with the link.
pub fn link(text: &str) -> Result<Link, Failure> {
    text.trim().parse().map_err(|why: ParseLinkError| Failure::usage(why.to_string()))
}

/// A link that a desktop hands over: a person's, or one to join a group call; as it is written.
///
/// # Errors
/// A usage failure that says what is wrong with the link.
pub fn openable(text: &str) -> Result<String, Failure> {
    match text.parse::<Ticket>() {
        Ok(join) => Ok(join.to_string()),
        Err(ParseTicketError::NotAJoinLink) => link(text).map(|link| link.to_string()),
        Err(why) => Err(Failure::usage(why.to_string())),
    }
}

/// The link that is meant, if need be that of a contact.
///
/// # Errors
/// As [`parse`] and [`by_name`].
pub fn resolve(contacts: &[Contact], text: &str) -> Result<Link, Failure> {
    match parse(text)? {
        Whom::Link(link) => Ok(link),
        Whom::Name(name) => by_name(contacts, &name).map(|contact| contact.link.clone()),
    }
}

/// The one contact of this name; upper and lower case are the same.
///
/// # Errors
/// When nobody or more than one is called so.
pub fn by_name<'a>(contacts: &'a [Contact], name: &str) -> Result<&'a Contact, Failure> {
    let wanted = name.to_lowercase();
    let mut found = contacts.iter().filter(|contact| contact.name.as_ref().is_some_and(|n| n.to_lowercase() == wanted));
    match (found.next(), found.next()) {
        (Some(contact), None) => Ok(contact),
        (None, _) => Err(Failure::usage(format!(
            "nobody in your contacts is called {name}; add them with `twocans contacts add LINK --name {name}`, or \
             give their link"
        ))),
        (Some(one), Some(other)) => Err(Failure::usage(format!(
            "more than one contact is called {name} ({} and {}); give the link",
            one.person.abbreviated(),
            other.person.abbreviated()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Person;

    fn contact(byte: u8, name: &str) -> Contact {
        let person = Person::from_bytes([byte; 32]);
        let link = Link { person, name: None, hints: Vec::new() };
        Contact { person, name: Some(name.into()), link }
    }

    #[test]
    fn names_are_found_in_any_case() {
        let book = [contact(1, "Alice"), contact(2, "Bob"), contact(3, "bob")];
        assert_eq!(by_name(&book, "alice").unwrap().person, book[0].person);
        assert!(by_name(&book, "Bob").unwrap_err().detail.contains("more than one"));
        assert!(by_name(&book, "Carol").unwrap_err().detail.contains("contacts add"));
    }

    #[test]
    fn a_mistyped_link_is_not_taken_for_a_name() {
        assert!(parse("twocans:short").is_err());
        assert!(parse("TWOCANS:ll").is_err());
        assert!(parse("  ").is_err());
        assert_eq!(parse(" Alice "), Ok(Whom::Name("Alice".into())));
    }
}
