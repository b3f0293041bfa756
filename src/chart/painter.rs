//! From a drawing to a PNG, for messengers that show no drawings.

use png::{BitDepth, ColorType, DeflateCompression, Encoder, Filter};
use resvg::tiny_skia::{Pixmap, PremultipliedColorU8, Transform};
use resvg::usvg::fontdb::Database;
use resvg::usvg::{self, Options, Tree};
use std::sync::Arc;
use thiserror::Error;

/// Part of DejaVu Sans, under the license beside it.
const FONT: &[u8] = include_bytes!("font/DejaVuSans-subset.ttf");
/// What the font calls itself.
pub(super) const FONT_FAMILY: &str = "DejaVu Sans";
/// Pixels for each unit of a drawing: sharp on good screens.
const PIXELS: f32 = 2.0;
/// Highest picture, in pixels. Ours have at most half of it; the buffer of this one takes 10 MB.
const HEIGHT_MAX: u32 = 2_000;

/// How hard a picture is pressed. Large even areas need little: the hardest makes it a quarter smaller, in five times the
/// time.
const COMPRESSION: DeflateCompression = DeflateCompression::Level(1);

/// Why there is no picture.
#[derive(Debug, Error)]
pub enum PaintError {
    /// The drawing is not one.
    #[error("the drawing cannot be read: {0}")]
    Drawing(#[from] usvg::Error),
    /// It is empty or too large.
    #[error("a picture of {0} by {1} pixels is not painted")]
    Size(u32, u32),
    /// The picture could not be written.
    #[error("the picture cannot be written: {0}")]
    Encoding(#[from] png::EncodingError),
}

/// Paints drawings. Made once, as reading the font takes a moment.
#[derive(Clone)]
pub struct Painter {
    fonts: Arc<Database>,
}

impl std::fmt::Debug for Painter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Painter").finish_non_exhaustive()
    }
}

impl Default for Painter {
    fn default() -> Self {
        let mut fonts = Database::new();
        fonts.load_font_data(FONT.to_vec());
        fonts.set_sans_serif_family(FONT_FAMILY);
        Self { fonts: Arc::new(fonts) }
    }
}

impl Painter {
    /// A drawing of ours as a PNG. Takes some 25 ms: not for a thread that others wait for.
    ///
    /// # Errors
    /// Where the drawing cannot be read or is too large.
    pub fn png(&self, svg: &str) -> Result<Vec<u8>, PaintError> {
        let options = Options {
            fontdb: Arc::clone(&self.fonts),
            font_family: FONT_FAMILY.to_owned(),
            ..Options::default()
        };
        let tree = Tree::from_str(svg, &options)?;
        let size = tree.size();
        let (width, height) = ((size.width() * PIXELS) as u32, (size.height() * PIXELS) as u32);
        let too_large = PaintError::Size(width, height);
        if height > HEIGHT_MAX {
            return Err(too_large);
        }
        let mut pixels = Pixmap::new(width, height).ok_or(too_large)?;
        resvg::render(&tree, Transform::from_scale(PIXELS, PIXELS), &mut pixels.as_mut());
        Ok(encode(pixels)?)
    }
}

fn encode(pixels: Pixmap) -> Result<Vec<u8>, png::EncodingError> {
    let (width, height) = (pixels.width(), pixels.height());
    let mut bytes = pixels.take();
    // Only the round corners are neither quite there nor quite away; all other pixels are the same either way.
    for pixel in bytes.chunks_exact_mut(4).filter(|pixel| !matches!(pixel[3], 0 | 255)) {
        if let Some(color) = PremultipliedColorU8::from_rgba(pixel[0], pixel[1], pixel[2], pixel[3]) {
            let color = color.demultiply();
            pixel.copy_from_slice(&[color.red(), color.green(), color.blue(), color.alpha()]);
        }
    }
    let mut png = Vec::new();
    let mut encoder = Encoder::new(&mut png, width, height);
    encoder.set_color(ColorType::Rgba);
    encoder.set_depth(BitDepth::Eight);
    encoder.set_deflate_compression(COMPRESSION);
    encoder.set_filter(Filter::Sub);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&bytes)?;
    writer.finish()?;
    Ok(png)
}
