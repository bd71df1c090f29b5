//! Pictures of the scene, drawn by MuJoCo through EGL: no display is needed, a software driver (Mesa) is enough.

use std::path::Path;

use mujoco_rs::prelude::*;
use mujoco_rs::renderer::MjRenderer;

use crate::{Cell, SimError};

/// Draws what the fixed camera `overview` sees.
#[derive(Debug)]
pub struct Renderer {
    renderer: MjRenderer,
}

impl Renderer {
    /// Opens a drawing context for pictures of `width` x `height` pixels, at most 1280 x 720.
    pub fn new(cell: &Cell, width: u32, height: u32) -> Result<Self, SimError> {
        let error = |what: &str, reason: String| SimError::Render { what: what.to_owned(), reason };
        let camera = cell
            .model()
            .name_to_id(MjtObjBase::mjOBJ_CAMERA, "overview")
            .ok_or_else(|| error("overview", "the model has no such camera".to_owned()))?;
        let renderer = MjRenderer::builder()
            .width(width)
            .height(height)
            .num_visual_user_geom(0)
            .rgb(true)
            .depth(false)
            .camera(MjvCamera::new_fixed(camera))
            .build(cell.model())
            .map_err(|e| error("without a display (is libegl1 installed?)", e.to_string()))?;
        Ok(Self { renderer })
    }

    /// Draws the cell as it stands now into a PNG file.
    pub fn save_png(&mut self, cell: &mut Cell, path: &Path) -> Result<(), SimError> {
        let error = |reason: String| SimError::Render { what: format!("into {}", path.display()), reason };
        self.renderer.sync_data(cell.data_mut()).map_err(|e| error(e.to_string()))?;
        self.renderer.render().map_err(|e| error(e.to_string()))?;
        self.renderer.save_rgb(path).map_err(|e| error(e.to_string()))
    }
}
