//! Somebody rings.

use std::time::Duration;

use eframe::egui::{Align, Context, Label, Layout, RichText, Sense, Stroke, vec2};
use lucide_icons::Icon;

use crate::engine::{CommandKind, SnapshotCall, name_of_nameless};
use crate::ui::app::App;
use crate::ui::theme::{Type, palette, space};
use crate::ui::widgets::{Kind, call_control, label, modal, paint_avatar, pill};
use crate::ui::words;

/// The rings around the avatar move this often; nothing else does.
const FRAME: Duration = Duration::from_millis(50);

pub fn incoming(app: &mut App, ctx: &Context, call: &SnapshotCall) {
    let palette = palette(ctx);
    let name = call.peer_name();
    modal(ctx, "incoming", 28).show(ctx, |ui| {
        ui.set_width(300.0);
        ui.with_layout(Layout::top_down(Align::Center), |ui| {
            pill(ui, Some(Icon::PhoneIncoming), words::INCOMING, palette.success, palette.success_weak);
            let (rect, _) = ui.allocate_exact_size(vec2(200.0, 168.0), Sense::hover());
            let time = ui.input(|input| input.time) as f32;
            for ring in 0..3_u8 {
                let phase = (time * 0.6 + f32::from(ring) / 3.0).fract();
                let colour = palette.success.gamma_multiply((1.0 - phase) * 0.7);
                ui.painter().circle_stroke(rect.center(), 46.0 + 34.0 * phase, Stroke::new(2.0, colour));
            }
            paint_avatar(ui.painter(), rect.center(), 92.0, &name, call.peer_seed(), palette.on_fill);
            label(ui, name, Type::Title, palette.text);
            label(ui, name_of_nameless(call.peer.as_ref()), Type::Small, palette.text2);
            if let Some(why) = app.desktop.silence() {
                let why = RichText::new(words::rings_silently(why)).font(Type::Small.font()).color(palette.warn);
                ui.add(Label::new(why).wrap().halign(Align::Center));
            }
            ui.add_space(space::L);
            ui.horizontal(|ui| {
                ui.add_space((ui.available_width() - 2.0 * 80.0 - space::XXL) / 2.0);
                ui.spacing_mut().item_spacing.x = space::XXL;
                if call_control(ui, Icon::PhoneOff, words::DECLINE, Kind::Danger).clicked() {
                    app.send(CommandKind::Decline { call: call.call });
                }
                if call_control(ui, Icon::Phone, words::ANSWER, Kind::Success).clicked() {
                    app.answer(call);
                }
            });
        });
    });
    ctx.request_repaint_after(FRAME);
}
