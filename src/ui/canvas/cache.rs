//! A copy of what the window shows, in OpenGL: the only file of the client that calls it, through `glow`.
//!
//! Everything here has to be called while the window's OpenGL context is current, as it is while egui paints.

#![allow(unsafe_code, reason = "OpenGL is a foreign function interface")]

use eframe::egui::Color32;
use eframe::glow::{self, HasContext};

use super::damage::Pixels;

/// Parts of the names by which drivers say that they paint with the processor.
const SOFTWARE: [&str; 4] = ["llvmpipe", "softpipe", "swiftshader", "software rasterizer"];
/// There are not more different errors.
const MOST_ERRORS: usize = 8;

/// The window's content as it was painted last.
#[derive(Debug, Default)]
pub struct Cache {
    copy: Option<Backing>,
    /// Number of the picture that the copy shows.
    holds: Option<u64>,
    /// It does not work with this driver.
    given_up: bool,
}

/// As large as the window, and upside down: drivers keep a window's lines from the top and a texture's from the bottom,
/// and copy them as they are, rather than pixel by pixel, when they meet in the same order.
#[derive(Debug, Clone, Copy)]
struct Backing {
    framebuffer: glow::Framebuffer,
    texture: glow::Texture,
    size: [u32; 2],
}

/// Which way pixels are copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    FromWindow,
    ToWindow,
}

/// The window is painted by the processor, and what is in it can be copied.
pub fn is_worth_it(gl: &glow::Context) -> bool {
    let version = gl.version();
    if version.is_embedded || version.major < 3 {
        return false;
    }
    // SAFETY: the context is current; both ask for a value that every OpenGL 3 has.
    let (renderer, samples) = unsafe { (gl.get_parameter_string(glow::RENDERER), gl.get_parameter_i32(glow::SAMPLES)) };
    let renderer = renderer.to_lowercase();
    samples <= 1 && SOFTWARE.iter().any(|name| renderer.contains(name))
}

impl Cache {
    /// Number of the picture that it can bring back.
    pub fn holds(&self) -> Option<u64> {
        self.holds
    }

    /// Fills the window with the ground.
    pub fn begin_whole(gl: &glow::Context, size: [u32; 2], ground: Color32) {
        clear(gl, size, Pixels::of_size(size), ground);
    }

    /// Brings back the last picture, but for areas that get the ground. False: it is lost, and there is nothing but the
    /// ground.
    pub fn begin_part(&mut self, gl: &glow::Context, size: [u32; 2], ground: Color32, areas: &[Pixels]) -> bool {
        let Some(copy) = self.copy.filter(|copy| copy.size == size && self.holds.is_some()) else {
            self.holds = None;
            Self::begin_whole(gl, size, ground);
            return false;
        };
        copy.blit(gl, Way::ToWindow, &[Pixels::of_size(size)]);
        for area in areas {
            clear(gl, size, *area, ground);
        }
        true
    }

    /// Keeps what has been painted: all of the window, or these areas of it.
    pub fn end(&mut self, gl: &glow::Context, size: [u32; 2], areas: Option<&[Pixels]>, number: u64) {
        self.holds = None;
        if self.given_up {
            return;
        }
        let before = self.copy.filter(|copy| copy.size == size);
        let whole = [Pixels::of_size(size)];
        let (copy, areas) = match (before, areas) {
            (Some(copy), areas) => (Some(copy), areas.unwrap_or(&whole)),
            (None, Some(_)) => return,
            (None, None) => (self.make(gl, size), &whole[..]),
        };
        let Some(copy) = copy else {
            self.given_up = true;
            return;
        };
        copy.blit(gl, Way::FromWindow, areas);
        if is_error(gl) {
            self.given_up = true;
        } else {
            self.holds = Some(number);
        }
    }

    fn make(&mut self, gl: &glow::Context, size: [u32; 2]) -> Option<Backing> {
        if let Some(old) = self.copy.take() {
            old.delete(gl);
        }
        self.copy = Backing::make(gl, size);
        self.copy
    }
}

impl Backing {
    fn make(gl: &glow::Context, size: [u32; 2]) -> Option<Self> {
        // Errors of others.
        is_error(gl);
        let [width, height] = size.map(|side| i32::try_from(side).unwrap_or(i32::MAX));
        // SAFETY: the context is current; there is no pixel data that could be read past its end, and whatever OpenGL
        // does not like it says by an error.
        let (copy, complete) = unsafe {
            let texture = gl.create_texture().ok()?;
            let Ok(framebuffer) = gl.create_framebuffer() else {
                gl.delete_texture(texture);
                return None;
            };
            gl.bind_texture(glow::TEXTURE_2D, Some(texture));
            // The order of bytes is that of windows, so that nothing has to be converted.
            let (kind, none) = (glow::UNSIGNED_INT_8_8_8_8_REV, glow::PixelUnpackData::Slice(None));
            gl.tex_image_2d(glow::TEXTURE_2D, 0, glow::RGBA as i32, width, height, 0, glow::BGRA, kind, none);
            for filter in [glow::TEXTURE_MIN_FILTER, glow::TEXTURE_MAG_FILTER] {
                gl.tex_parameter_i32(glow::TEXTURE_2D, filter, glow::NEAREST as i32);
            }
            gl.bind_texture(glow::TEXTURE_2D, None);
            gl.bind_framebuffer(glow::FRAMEBUFFER, Some(framebuffer));
            let (target, place) = (glow::FRAMEBUFFER, glow::COLOR_ATTACHMENT0);
            gl.framebuffer_texture_2d(target, place, glow::TEXTURE_2D, Some(texture), 0);
            let complete = gl.check_framebuffer_status(target) == glow::FRAMEBUFFER_COMPLETE;
            gl.bind_framebuffer(target, None);
            (Self { framebuffer, texture, size }, complete)
        };
        if is_error(gl) || !complete {
            copy.delete(gl);
            return None;
        }
        Some(copy)
    }

    fn blit(self, gl: &glow::Context, way: Way, areas: &[Pixels]) {
        let height = Pixels::of_size(self.size).bottom;
        let (read, draw) = match way {
            Way::FromWindow => (None, Some(self.framebuffer)),
            Way::ToWindow => (Some(self.framebuffer), None),
        };
        // SAFETY: the context is current; the framebuffer is ours and alive, `None` is the window's. Copies are cut by
        // OpenGL at both edges.
        unsafe {
            gl.disable(glow::SCISSOR_TEST);
            gl.bind_framebuffer(glow::READ_FRAMEBUFFER, read);
            gl.bind_framebuffer(glow::DRAW_FRAMEBUFFER, draw);
            for area in areas {
                let Pixels { left, top, right, bottom } = *area;
                // OpenGL counts from below.
                let (window, copy) = ((height - bottom, height - top), (bottom, top));
                let ((from, from_end), (to, to_end)) =
                    if way == Way::FromWindow { (window, copy) } else { (copy, window) };
                let (mask, filter) = (glow::COLOR_BUFFER_BIT, glow::NEAREST);
                gl.blit_framebuffer(left, from, right, from_end, left, to, right, to_end, mask, filter);
            }
            gl.bind_framebuffer(glow::FRAMEBUFFER, None);
            gl.enable(glow::SCISSOR_TEST);
        }
    }

    fn delete(self, gl: &glow::Context) {
        // SAFETY: the context is current; both are ours, and this was the last use of them.
        unsafe {
            gl.delete_framebuffer(self.framebuffer);
            gl.delete_texture(self.texture);
        }
    }
}

/// All that is in the window, four bytes for each pixel, line by line from below.
pub fn pixels(gl: &glow::Context, size: [u32; 2]) -> Vec<u8> {
    const BYTES_PER_PIXEL: usize = 4;
    let area = Pixels::of_size(size);
    let count = usize::try_from(size[0]).unwrap_or(0) * usize::try_from(size[1]).unwrap_or(0);
    let mut bytes = vec![0; count * BYTES_PER_PIXEL];
    let into = glow::PixelPackData::Slice(Some(&mut bytes));
    // SAFETY: the context is current, and there is room for as many pixels as are asked for: lines of four-byte pixels
    // need no padding.
    unsafe { gl.read_pixels(0, 0, area.right, area.bottom, glow::RGBA, glow::UNSIGNED_BYTE, into) };
    bytes
}

/// Gives an area of the window one colour.
fn clear(gl: &glow::Context, size: [u32; 2], area: Pixels, colour: Color32) {
    let height = Pixels::of_size(size).bottom;
    let [red, green, blue, alpha] = colour.to_normalized_gamma_f32();
    // SAFETY: the context is current, and OpenGL cuts the area at the window's edges.
    unsafe {
        gl.enable(glow::SCISSOR_TEST);
        gl.scissor(area.left, height - area.bottom, area.right - area.left, area.bottom - area.top);
        gl.clear_color(red, green, blue, alpha);
        gl.clear(glow::COLOR_BUFFER_BIT);
    }
}

/// Something failed since this was asked last.
fn is_error(gl: &glow::Context) -> bool {
    // SAFETY: the context is current.
    let errors = (0..MOST_ERRORS).take_while(|_| unsafe { gl.get_error() } != glow::NO_ERROR);
    errors.count() > 0
}
