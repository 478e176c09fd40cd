//! Reading single files of an image without mounting it.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use flynn_core::port::{Image, ImageError};
use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};
use rustix::io::Errno;

use super::store::{ImageStore, invalid};
use super::user::ImageUser;
use crate::layer::{LayerError, Marks};

/// The most bytes of a list of users or groups.
const MOST_USERS: u64 = 4 << 20;

impl ImageStore {
    /// The numbers of the user that an image wants its programs to run as, by its own list of users. `user` is
    /// the one of its [`ImageConfig`](super::ImageConfig); without one it is 0.
    ///
    /// # Errors
    /// `Invalid` if the image has no such user, `NotFound` if a layer is nowhere.
    pub async fn user(&self, image: &Image, user: Option<&str>) -> Result<ImageUser, ImageError> {
        const OPERATION: &str = "find the user of an image";
        let Some(user) = user else {
            return Ok(ImageUser::default());
        };
        for layer in &image.layers {
            self.fill(OPERATION, *layer, None, None).await?;
        }
        let (layers, marks) = (image.layers.clone(), self.marks());
        let lists = self.on_place(OPERATION, move |place| {
            let mut lists = [String::new(), String::new()];
            for (list, name) in lists.iter_mut().zip(["passwd", "group"]) {
                for digest in layers.iter().rev() {
                    match find(&place.layer(*digest).join("fs"), name, marks)? {
                        Found::Text(text) => {
                            *list = text;
                            break;
                        }
                        Found::Gone => break,
                        Found::Below => {}
                    }
                }
            }
            Ok(lists)
        });
        let [passwd, group] = lists.await?;
        ImageUser::find(user, &passwd, &group).map_err(|error| invalid(OPERATION, error.to_string()))
    }
}

enum Found {
    Text(String),
    /// This layer takes it away, or puts something else in its place.
    Gone,
    /// If it is anywhere, then in a lower layer.
    Below,
}

/// What a layer says of a file in `/etc`.
fn find(layer: &Path, name: &str, marks: Marks) -> Result<Found, LayerError> {
    let etc = layer.join("etc");
    match std::fs::symlink_metadata(&etc) {
        Ok(metadata) if metadata.is_dir() => {}
        Ok(_) => return Ok(Found::Gone),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Found::Below),
        Err(error) => return Err(LayerError::disk(etc)(error)),
    }
    let directory = File::open(&etc).map_err(LayerError::disk(&etc))?;
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match openat2(&directory, name, flags, Mode::empty(), ResolveFlags::BENEATH) {
        Ok(file) => File::from(file),
        Err(Errno::NOENT) => {
            let hides = marks.hides_lower(&etc).map_err(LayerError::disk(&etc))?;
            return Ok(if hides { Found::Gone } else { Found::Below });
        }
        // A mark that it is taken away, or a symlink to somewhere else.
        Err(_) => return Ok(Found::Gone),
    };
    if !file.metadata().is_ok_and(|metadata| metadata.is_file()) {
        return Ok(Found::Gone);
    }
    let mut text = Vec::new();
    file.take(MOST_USERS).read_to_end(&mut text).map_err(LayerError::disk(etc.join(name)))?;
    Ok(Found::Text(String::from_utf8_lossy(&text).into_owned()))
}
