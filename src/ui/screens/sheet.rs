//! Questions in front of everything else: a contact's name, whether to remove them.

use eframe::egui::{Align, Context, Key, Label, Layout, Margin, RichText, TextEdit, Ui, vec2};

use super::backup;
use super::group::invite;
use crate::engine::{CommandKind, GroupCommand, Passphrase, Snapshot};
use crate::identity::Link;
use crate::ui::app::{App, Sheet};
use crate::ui::theme::{Type, palette, space};
use crate::ui::widgets::{Kind, button, label, modal};
use crate::ui::words;

/// What the link calls its owner, if anything.
pub fn suggested_name(link: &Link) -> String {
    link.name.clone().unwrap_or_default()
}

pub fn sheet(app: &mut App, ctx: &Context, now: &Snapshot) {
    let Some(mut sheet) = app.sheet.take() else { return };
    if let Sheet::Invite(form) = &mut sheet {
        if invite(app, ctx, now, form) {
            app.sheet = Some(sheet);
        }
        return;
    }
    let shown = modal(ctx, "sheet", 24).show(ctx, |ui| {
        ui.set_width(340.0);
        ask(ui, &mut sheet)
    });
    let done = match shown.inner {
        Decision::Yes => {
            carry_out(app, ctx, now, &sheet);
            true
        }
        Decision::No => true,
        Decision::Open => shown.should_close(),
    };
    if !done {
        app.sheet = Some(sheet);
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Decision {
    Open,
    Yes,
    No,
}

fn ask(ui: &mut Ui, sheet: &mut Sheet) -> Decision {
    let palette = palette(ui.ctx());
    let mut decision = Decision::Open;
    let (yes, kind, ready) = match sheet {
        Sheet::Add { link, name } => {
            label(ui, words::ADD_CONTACT, Type::Title, palette.text);
            label(ui, link.person.abbreviated(), Type::Small, palette.text3);
            if name_field(ui, name) {
                decision = Decision::Yes;
            }
            (words::SAVE, Kind::Accent, !name.trim().is_empty())
        }
        Sheet::Rename { name, .. } => {
            label(ui, words::rename_title(name), Type::Title, palette.text);
            if name_field(ui, name) {
                decision = Decision::Yes;
            }
            (words::SAVE, Kind::Accent, !name.trim().is_empty())
        }
        Sheet::Remove { name, .. } => {
            label(ui, words::remove_title(name), Type::Title, palette.text);
            ui.add(Label::new(RichText::new(words::REMOVE_BODY).font(Type::Body.font()).color(palette.text2)).wrap());
            (words::REMOVE_NOW, Kind::Danger, true)
        }
        Sheet::RemoveFromCall { name, .. } => {
            label(ui, words::remove_from_call_title(name), Type::Title, palette.text);
            let body = RichText::new(words::REMOVE_FROM_CALL_BODY).font(Type::Body.font()).color(palette.text2);
            ui.add(Label::new(body).wrap());
            (words::REMOVE_NOW, Kind::Danger, true)
        }
        // It has a panel of its own.
        Sheet::Invite(_) => return Decision::No,
        Sheet::Backup(form) => {
            label(ui, words::MAKE_BACKUP, Type::Title, palette.text);
            ui.add(Label::new(RichText::new(words::BACKUP_BODY).font(Type::Small.font()).color(palette.text2)).wrap());
            (words::SAVE, Kind::Accent, backup::to_make(ui, form))
        }
        Sheet::Restore(form) => {
            label(ui, words::RESTORE_OFFER, Type::Title, palette.text);
            ui.add(Label::new(RichText::new(words::RESTORE_BODY).font(Type::Small.font()).color(palette.text2)).wrap());
            (words::RESTORE, Kind::Accent, backup::to_open(ui, form))
        }
    };
    ui.add_space(space::L);
    ui.allocate_ui_with_layout(vec2(ui.available_width(), 36.0), Layout::right_to_left(Align::Center), |ui| {
        if ui.add_enabled_ui(ready, |ui| button(ui, None, yes, kind)).inner.clicked() {
            decision = Decision::Yes;
        }
        if button(ui, None, words::CANCEL, Kind::Soft).clicked() {
            decision = Decision::No;
        }
    });
    if decision == Decision::Yes && !ready { Decision::Open } else { decision }
}

/// True when Enter was pressed in it.
fn name_field(ui: &mut Ui, name: &mut String) -> bool {
    let palette = palette(ui.ctx());
    ui.add_space(space::S);
    let heading = label(ui, words::NAME, Type::Small, palette.text2);
    let edit = TextEdit::singleline(name)
        .hint_text(words::NAME_HINT)
        .margin(Margin::symmetric(12, 9))
        .desired_width(f32::INFINITY);
    let edit = ui.add(edit).labelled_by(heading.id);
    // The only thing to type into.
    if ui.memory(|memory| memory.focused().is_none()) && !edit.lost_focus() {
        edit.request_focus();
    }
    edit.lost_focus() && ui.input(|input| input.key_pressed(Key::Enter))
}

fn carry_out(app: &mut App, ctx: &Context, now: &Snapshot, sheet: &Sheet) {
    match sheet {
        Sheet::Add { link, name } => {
            // During a call its screen stays.
            if !app.at_call {
                app.search.clear();
                app.choose(Some(link.person));
            }
            app.send(CommandKind::AddContact { link: link.clone(), name: Some(name.trim().to_owned()) });
        }
        Sheet::Rename { person, name } => {
            app.send(CommandKind::RenameContact { person: *person, name: name.trim().to_owned() });
        }
        Sheet::Remove { person, .. } => {
            app.send(CommandKind::RemoveContact { person: *person });
            app.choose(None);
        }
        Sheet::RemoveFromCall { group, person, .. } => {
            app.group(GroupCommand::Remove { group: *group, person: *person });
        }
        Sheet::Invite(_) => {}
        Sheet::Backup(form) => match Passphrase::new(form.passphrase.clone()) {
            Ok(passphrase) => app.export(form.file(), passphrase),
            Err(why) => app.trouble(&why.to_string()),
        },
        Sheet::Restore(form) => app.restore(ctx, &now.home, form),
    }
}
