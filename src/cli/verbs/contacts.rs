//! `contacts`: the address book.

use crate::base::Person;
use crate::cli::args::ContactsVerb;
use crate::cli::exit::{Exit, usage};
use crate::cli::output::{Change, Output, Report};
use crate::cli::session::Session;
use crate::engine::whom::{self, Whom};
use crate::engine::{CommandKind, Contact, Failure, Options};

pub async fn run(options: Options, verb: ContactsVerb, out: &mut dyn Output) -> Result<Exit, Failure> {
    let mut session = Session::start(options, out)?;
    let result = act(&mut session, verb).await;
    session.close_quietly().await;
    result.map(|()| Exit::Fine)
}

async fn act(session: &mut Session<'_>, verb: ContactsVerb) -> Result<(), Failure> {
    let contacts = session.contacts().await?;
    match verb {
        ContactsVerb::List => {
            let blocked = session.snapshot().blocked.clone();
            session.say(&Report::Contacts { contacts, blocked });
            Ok(())
        }
        ContactsVerb::Add { link, name } => {
            let link = whom::link(&link)?;
            let (person, name) = (link.person, name.or_else(|| link.name.clone()));
            if let Some(taken) = contacts.iter().find(|contact| contact.person != person && same(contact, &name)) {
                return Err(usage(format!(
                    "{} is already called {}; choose another name with --name",
                    taken.person.abbreviated(),
                    name.unwrap_or_default()
                )));
            }
            session.command(CommandKind::AddContact { link, name: name.clone() }).await?;
            session.say(&Report::ContactChanged { what: Change::Added, person, name });
            Ok(())
        }
        ContactsVerb::Rename { who, name } => {
            let (person, _) = find(&contacts, &who)?;
            session.command(CommandKind::RenameContact { person, name: name.clone() }).await?;
            session.say(&Report::ContactChanged { what: Change::Renamed, person, name: Some(name) });
            Ok(())
        }
        ContactsVerb::Remove { who } => {
            let (person, name) = find(&contacts, &who)?;
            session.command(CommandKind::RemoveContact { person }).await?;
            session.say(&Report::ContactChanged { what: Change::Removed, person, name });
            Ok(())
        }
        ContactsVerb::Block { who } => block(session, &contacts, &who, true).await,
        ContactsVerb::Unblock { who } => block(session, &contacts, &who, false).await,
    }
}

async fn block(session: &mut Session<'_>, contacts: &[Contact], who: &str, blocked: bool) -> Result<(), Failure> {
    let (person, name) = find(contacts, who)?;
    session.command(CommandKind::SetBlocked { person, blocked }).await?;
    let what = if blocked { Change::Blocked } else { Change::Unblocked };
    session.say(&Report::ContactChanged { what, person, name });
    Ok(())
}

fn same(contact: &Contact, name: &Option<String>) -> bool {
    match (&contact.name, name) {
        (Some(theirs), Some(name)) => theirs.to_lowercase() == name.to_lowercase(),
        _ => false,
    }
}

fn find(contacts: &[Contact], who: &str) -> Result<(Person, Option<String>), Failure> {
    let person = match whom::parse(who)? {
        Whom::Link(link) => link.person,
        Whom::Name(name) => whom::by_name(contacts, &name)?.person,
    };
    let name = contacts.iter().find(|contact| contact.person == person).and_then(|contact| contact.name.clone());
    Ok((person, name))
}
