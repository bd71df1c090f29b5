//! Pictures of the scene, drawn by MuJoCo through EGL: no display is needed, a software driver (Mesa) is enough.

use std::path::Path;

use mujoco_rs::prelude::*;
use mujoco_rs::renderer::MjRenderer;

use crate::{Cell, SimError};

/// Draws what one camera of the model sees.
#[derive(Debug)]
pub struct Renderer {
    renderer: MjRenderer,
}

impl Renderer {
    /// Opens a drawing context for pictures of `width` x `height` pixels, at most 1280 x 720. Cameras are `overview`, which
    /// stands beside the table, and `<robot>_wrist` at each gripper.
    pub fn new(cell: &Cell, camera: &str, width: u32, height: u32) -> Result<Self, SimError> {
        let error = |what: &str, reason: String| SimError::Render { what: what.to_owned(), reason };
        let known = || {
            let wrists = cell.scene().robots.iter().map(|robot| format!(", {}_wrist", robot.name));
            format!("there are overview{}", wrists.collect::<String>())
        };
        let camera = cell
            .model()
            .name_to_id(MjtObjBase::mjOBJ_CAMERA, camera)
            .ok_or_else(|| error(&format!("as the camera '{camera}' sees it"), known()))?;
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

    /// Draws the cell as it stands now: rows from top to bottom, three bytes a pixel (red, green, blue).
    pub fn draw(&mut self, cell: &mut Cell) -> Result<&[u8], SimError> {
        let error = |reason: String| SimError::Render { what: "as it stands".to_owned(), reason };
        self.renderer.sync_data(cell.data_mut()).map_err(|e| error(e.to_string()))?;
        self.renderer.render().map_err(|e| error(e.to_string()))?;
        self.renderer.rgb_flat().ok_or_else(|| error("the colours are switched off".to_owned()))
    }

    /// Draws the cell as it stands now into a PNG file.
    pub fn save_png(&mut self, cell: &mut Cell, path: &Path) -> Result<(), SimError> {
        self.draw(cell)?;
        self.renderer.save_rgb(path).map_err(|error| SimError::Render {
            what: format!("into {}", path.display()),
            reason: error.to_string(),
        })
    }
}
