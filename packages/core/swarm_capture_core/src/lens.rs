//! What is known of a camera's lens, as ROS' tools write it (`camera_calibration`, `camera_calibration_parsers`):
//!
//! ```yaml
//! image_width: 1920
//! image_height: 1080
//! camera_name: left
//! camera_matrix:              # intrinsics, px
//!   rows: 3
//!   cols: 3
//!   data: [1402.1, 0.0, 961.7, 0.0, 1401.8, 538.9, 0.0, 0.0, 1.0]
//! distortion_model: plumb_bob # or rational_polynomial, equidistant
//! distortion_coefficients: {rows: 1, cols: 5, data: [-0.36, 0.15, 0.0002, -0.0001, 0.0]}
//! rectification_matrix: {rows: 3, cols: 3, data: [1, 0, 0, 0, 1, 0, 0, 0, 1]}
//! projection_matrix: {rows: 3, cols: 4, data: [1380.2, 0, 962.1, 0, 0, 1391.0, 538.2, 0, 0, 0, 1, 0]}
//! ```
//!
//! Fields beside these are somebody else's and are passed over.

use std::collections::BTreeMap;

use swarm_yaml::{Cursor, Mistakes};

/// Most pixels of a side.
const MOST_PIXELS: u64 = 65_535;

/// How straight lines are bent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DistortionModel {
    /// Brown and Conrady: k1, k2, p1, p2, k3.
    PlumbBob,
    /// As OpenCV: k1, k2, p1, p2, k3 to k6, and perhaps thin prism and tilt.
    RationalPolynomial,
    /// Kannala and Brandt, for fish eyes: k1 to k4.
    Equidistant,
}

const MODELS: [(&str, DistortionModel); 3] = [
    ("plumb_bob", DistortionModel::PlumbBob),
    ("rational_polynomial", DistortionModel::RationalPolynomial),
    ("equidistant", DistortionModel::Equidistant),
];

impl DistortionModel {
    /// As in `sensor_msgs/distortion_models.hpp`.
    pub fn name(self) -> &'static str {
        match self {
            Self::PlumbBob => "plumb_bob",
            Self::RationalPolynomial => "rational_polynomial",
            Self::Equidistant => "equidistant",
        }
    }

    /// Numbers of coefficients that OpenCV and `image_geometry` take.
    fn coefficients(self) -> &'static [usize] {
        match self {
            Self::PlumbBob => &[4, 5],
            Self::RationalPolynomial => &[8, 12, 14],
            Self::Equidistant => &[4],
        }
    }
}

/// The calibration of one camera at one size of its pictures. Matrices are row by row, as in `sensor_msgs/CameraInfo`.
#[derive(Clone, Debug, PartialEq)]
pub struct Lens {
    /// As the file says; it need not be the name of the camera here.
    pub camera_name: String,
    /// Pixels of the pictures that it was calibrated with.
    pub width: u32,
    pub height: u32,
    pub model: DistortionModel,
    pub d: Vec<f64>,
    /// Intrinsics, px.
    pub k: [f64; 9],
    /// Rotation that makes the lines of a stereo pair parallel.
    pub r: [f64; 9],
    /// Projection into the rectified picture, px; its last column holds the baseline times the focal length, px m.
    pub p: [f64; 12],
}

/// A calibration of pictures of another size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the calibration is for {calibrated_width}x{calibrated_height} and the stream is {width}x{height}; calibrate the camera at this \
     size, or have it stream at that one (parameter resolution)"
)]
pub struct WrongSize {
    pub calibrated_width: u32,
    pub calibrated_height: u32,
    pub width: u32,
    pub height: u32,
}

impl Lens {
    /// Reads a file; all mistakes at once, each with its place.
    pub fn parse(text: &str) -> Result<Self, Mistakes> {
        swarm_yaml::read(text, read)
    }

    /// Whether it holds for pictures of this size, in pixels: a crop or another mode of the sensor has other intrinsics.
    pub fn fits(&self, width: u32, height: u32) -> Result<(), WrongSize> {
        let (calibrated_width, calibrated_height) = (self.width, self.height);
        if (width, height) == (calibrated_width, calibrated_height) {
            return Ok(());
        }
        Err(WrongSize { calibrated_width, calibrated_height, width, height })
    }
}

fn read(root: &Cursor<'_>) -> Option<Lens> {
    let fields = Fields {
        root,
        of: root.mapping("a camera's calibration (image_width, camera_matrix, ...)", |_, field| {
            Some(field.clone())
        })?,
    };
    let side = |field: &Cursor<'_>| field.integer(1..=MOST_PIXELS);
    let width = fields.required("image_width", side);
    let height = fields.required("image_height", side);
    let camera_name = fields.of.get("camera_name").map_or(Some(String::new()), Cursor::text);
    let k = fields.required("camera_matrix", matrix::<9, 3>);
    let r = fields.required("rectification_matrix", matrix::<9, 3>);
    let p = fields.required("projection_matrix", matrix::<12, 4>);
    // As camera_calibration_parsers: files from before there were models have the one of then.
    let model = fields
        .of
        .get("distortion_model")
        .map_or(Some(DistortionModel::PlumbBob), |field| field.one_of(&MODELS));
    let d = fields.required("distortion_coefficients", |field| coefficients(field, model));
    for (name, focal) in
        [("camera_matrix", k.map(|k| [k[0], k[4]])), ("projection_matrix", p.map(|p| [p[0], p[5]]))]
    {
        if let (Some(field), Some([x, y])) = (fields.of.get(name), focal)
            && !(x > 0.0 && y > 0.0)
        {
            field.note(format!("has the focal lengths {x} and {y} px, expected both above 0"));
        }
    }
    let (width, height) = (u32::try_from(width?).ok()?, u32::try_from(height?).ok()?);
    Some(Lens { camera_name: camera_name?, width, height, model: model?, d: d?, k: k?, r: r?, p: p? })
}

struct Fields<'a> {
    root: &'a Cursor<'a>,
    of: BTreeMap<String, Cursor<'a>>,
}

impl<'a> Fields<'a> {
    fn required<T>(&self, name: &str, read: impl FnOnce(&Cursor<'a>) -> Option<T>) -> Option<T> {
        match self.of.get(name) {
            Some(field) => read(field),
            None => self.root.wrong(format!("{name} is missing")),
        }
    }
}

/// `data` of a matrix with this many numbers in this many columns.
fn matrix<const N: usize, const COLUMNS: usize>(field: &Cursor<'_>) -> Option<[f64; N]> {
    let data = data(field)?;
    let found = data.len();
    data.try_into()
        .map_err(|_| {
            field.note(format!("has {found} numbers, expected {N} ({} rows of {COLUMNS})", N / COLUMNS));
        })
        .ok()
}

fn coefficients(field: &Cursor<'_>, model: Option<DistortionModel>) -> Option<Vec<f64>> {
    let data = data(field)?;
    let model = model?;
    if model.coefficients().contains(&data.len()) {
        return Some(data);
    }
    let expected: Vec<String> = model.coefficients().iter().map(usize::to_string).collect();
    let (found, name, expected) = (data.len(), model.name(), expected.join(" or "));
    field.wrong(format!("has {found} numbers, and {name} takes {expected}"))
}

fn data(field: &Cursor<'_>) -> Option<Vec<f64>> {
    let expected = "a matrix with rows, cols and data";
    let parts = field.mapping(expected, |_, part| Some(part.clone()))?;
    match parts.get("data") {
        Some(data) => data.list("the matrix' numbers, row by row", |number| number.number(.., "")),
        None => field.wrong("has no data, its numbers row by row"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As `camera_calibration` (image_pipeline) writes it.
    const FILE: &str = "\
image_width: 1920
image_height: 1080
camera_name: narrow_stereo
camera_matrix:
  rows: 3
  cols: 3
  data: [1402.12345,    0.     ,  961.7    ,
            0.     , 1401.8    ,  538.9    ,
            0.     ,    0.     ,    1.     ]
distortion_model: plumb_bob
distortion_coefficients:
  rows: 1
  cols: 5
  data: [-0.36, 0.15, 2.0e-04, -0.0001, 0.]
rectification_matrix:
  rows: 3
  cols: 3
  data: [1., 0., 0.,
         0., 1., 0.,
         0., 0., 1.]
projection_matrix:
  rows: 3
  cols: 4
  data: [1380.2,    0. ,  962.1,    0. ,
            0. , 1391. ,  538.2,    0. ,
            0. ,    0. ,    1. ,    0. ]
";

    fn told(text: &str) -> String {
        Lens::parse(text).unwrap_err().to_string()
    }

    #[test]
    fn a_file_of_ros_own_tool_is_read() {
        let lens = Lens::parse(FILE).unwrap();
        assert_eq!((lens.width, lens.height, lens.camera_name.as_str()), (1920, 1080, "narrow_stereo"));
        assert_eq!(lens.model, DistortionModel::PlumbBob);
        assert_eq!(lens.d, [-0.36, 0.15, 2.0e-4, -0.0001, 0.0]);
        assert_eq!(lens.k, [1402.12345, 0.0, 961.7, 0.0, 1401.8, 538.9, 0.0, 0.0, 1.0]);
        assert_eq!(lens.r, [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]);
        assert_eq!(lens.p, [1380.2, 0.0, 962.1, 0.0, 0.0, 1391.0, 538.2, 0.0, 0.0, 0.0, 1.0, 0.0]);
        let more = format!("{FILE}avg_reprojection_error: 0.31\n");
        assert_eq!(Lens::parse(&more).unwrap(), lens, "another tool's field is passed over");
        let old = FILE.replace("distortion_model: plumb_bob\n", "");
        assert_eq!(Lens::parse(&old).unwrap(), lens, "a file from before there were models");
    }

    #[test]
    fn each_model_has_its_number_of_coefficients() {
        let with = |model: &str| FILE.replace("plumb_bob", model);
        let rational = told(&with("rational_polynomial"));
        assert!(
            rational.contains("has 5 numbers, and rational_polynomial takes 8 or 12 or 14"),
            "{rational}"
        );
        assert!(told(&with("equidistant")).contains("has 5 numbers, and equidistant takes 4"));
        let unknown = told(&with("omnidirectional"));
        let expected = "expected plumb_bob, rational_polynomial or equidistant, found 'omnidirectional'";
        assert!(unknown.contains(expected), "{unknown}");
        let fish = with("equidistant").replace("-0.0001, 0.]", "-0.0001]");
        assert_eq!(Lens::parse(&fish).unwrap().model.name(), "equidistant");
    }

    #[test]
    fn every_mistake_is_told_with_its_field() {
        let wrong = FILE
            .replace("image_width: 1920", "image_width: 0")
            .replace("image_height: 1080\n", "")
            .replace("1402.12345", "-3.0")
            .replace("1391. ", "many  ")
            .replace("  data: [1., 0., 0.,", "  data: [1., 0.,");
        let told = told(&wrong);
        for expected in [
            "image_height is missing",
            "image_width",
            "expected a whole number from 1 to 65535, found the number 0",
            "camera_matrix",
            "has the focal lengths -3 and 1401.8 px, expected both above 0",
            "rectification_matrix",
            "has 8 numbers, expected 9 (3 rows of 3)",
            "projection_matrix.data[5]",
            "found 'many'",
        ] {
            assert!(told.contains(expected), "{expected} in:\n{told}");
        }
        assert!(self::told("[1, 2]").contains("expected a camera's calibration"));
        assert!(self::told(&FILE.replace("  data: [-0.36", "  numbers: [-0.36")).contains("has no data"));
    }

    #[test]
    fn a_calibration_holds_for_its_size_alone() {
        let lens = Lens::parse(FILE).unwrap();
        assert_eq!(lens.fits(1920, 1080), Ok(()));
        let error = lens.fits(1280, 720).unwrap_err().to_string();
        assert_eq!(
            error,
            "the calibration is for 1920x1080 and the stream is 1280x720; calibrate the camera at this size, or have it stream at \
             that one (parameter resolution)"
        );
    }
}
