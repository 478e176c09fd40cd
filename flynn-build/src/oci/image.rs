use std::collections::BTreeSet;

use flynn_core::noun::ProcessType;
use flynn_core::port::{BlobReader, Blobs};
use flynn_core::value::Digest;

use super::content::{self, Packing};
use super::documents::{Config, Descriptor, Manifest, Platform, digest, parse};
use super::{Layout, LayoutError, web_process};
use crate::image::architecture;
use crate::source::{Content, WaitingReader};

/// An image of a layout that is what it says, all of it, and that this machine can run.
#[derive(Debug, Clone)]
pub struct CheckedImage {
    layout: Layout,
    manifest: Digest,
    /// Each blob once: layers, configuration, manifest.
    blobs: Vec<(Digest, Content)>,
    web: ProcessType,
}

/// An image whose blobs are durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredImage {
    /// Its manifest.
    pub image: Digest,
    /// What it runs by itself, as the process `web`: its entrypoint and command. It listens on the lowest TCP port that
    /// the image exposes, or else, as any app does, on the one that `PORT` says; `PORT` names that port in either case.
    pub web: ProcessType,
}

impl Layout {
    /// The image with this tag, or the only one, for this machine. All of it is read and checked, which blocks.
    ///
    /// # Errors
    /// `NotFound`, `OtherMachine`, or `Invalid` for whatever is not as it should be.
    pub fn image(&self, tag: Option<&str>) -> Result<CheckedImage, LayoutError> {
        let machine = Platform { os: "linux".to_owned(), architecture: architecture().to_owned() };
        let candidates = self.candidates(tag)?;
        // What says what it is for is believed in choosing, and checked by the configuration.
        let fits = |found: &&Descriptor| found.platform.as_ref().is_none_or(|platform| *platform == machine);
        let mut fitting = candidates.iter().filter(fits);
        let Some(chosen) = fitting.next() else {
            let found: BTreeSet<_> = candidates.iter().filter_map(|found| found.platform.as_ref()).map(shown).collect();
            let found = found.into_iter().collect::<Vec<_>>().join(", ");
            return Err(LayoutError::OtherMachine { found, machine: shown(&machine) });
        };
        if fitting.next().is_some() {
            return Err(LayoutError::invalid("it has several images for this machine: name one by its tag"));
        }
        self.check(chosen, &machine)
    }

    fn check(&self, chosen: &Descriptor, machine: &Platform) -> Result<CheckedImage, LayoutError> {
        let manifest: Manifest = parse("the manifest", &self.document(chosen)?)?;
        if manifest.schema_version != 2 {
            let version = manifest.schema_version;
            return Err(LayoutError::invalid(format!("the manifest has the version {version}, and only 2 is known")));
        }
        let config: Config = parse("the configuration", &self.document(&manifest.config)?)?;
        if config.platform != *machine {
            return Err(LayoutError::OtherMachine { found: shown(&config.platform), machine: shown(machine) });
        }
        let (layers, ids) = (manifest.layers.len(), config.rootfs.diff_ids.len());
        if layers != ids {
            return Err(LayoutError::invalid(format!(
                "the manifest names {layers} layers and the configuration {ids}"
            )));
        }
        if layers > self.limits.layers {
            let most = self.limits.layers;
            return Err(LayoutError::invalid(format!("it has {layers} layers, and {most} are the most")));
        }
        let web = web_process(config.config.as_ref())?;
        let (mut blobs, mut room) = (Vec::new(), self.limits.unpacked_bytes);
        for (layer, id) in manifest.layers.iter().zip(&config.rootfs.diff_ids) {
            let place = self.blob(layer)?;
            let packing = packing(&layer.media_type)?;
            let (packed, unpacked, bytes) = content::unpacked(self.open_blob(place), packing, room)?;
            content::expect(layer.digest()?, packed)?;
            let expected = digest(id)?;
            if unpacked != expected {
                let problem = format!("the layer {packed} unpacks to {unpacked} and should to {expected}");
                return Err(LayoutError::invalid(problem));
            }
            room -= bytes;
            blobs.push((packed, place));
        }
        for document in [&manifest.config, chosen] {
            blobs.push((document.digest()?, self.blob(document)?));
        }
        let mut seen = BTreeSet::new();
        blobs.retain(|(digest, _)| seen.insert(*digest));
        Ok(CheckedImage { layout: self.clone(), manifest: chosen.digest()?, blobs, web })
    }
}

impl CheckedImage {
    /// The digest of its manifest.
    pub fn manifest(&self) -> Digest {
        self.manifest
    }

    /// Puts all of it into a blob store, the manifest last. When it returns, the image is durable.
    ///
    /// # Errors
    /// `Blobs`.
    pub async fn store(&self, blobs: &dyn Blobs) -> Result<StoredImage, LayoutError> {
        for (digest, place) in &self.blobs {
            let content: BlobReader = Box::new(WaitingReader::new(self.layout.open_blob(*place)));
            blobs.put(content, Some(*digest)).await.map_err(LayoutError::Blobs)?;
        }
        Ok(StoredImage { image: self.manifest, web: self.web.clone() })
    }
}

fn packing(media_type: &str) -> Result<Packing, LayoutError> {
    match media_type {
        "application/vnd.oci.image.layer.v1.tar" | "application/vnd.docker.image.rootfs.diff.tar" => Ok(Packing::Plain),
        "application/vnd.oci.image.layer.v1.tar+gzip" | "application/vnd.docker.image.rootfs.diff.tar.gzip" => {
            Ok(Packing::Gzip)
        }
        other => Err(LayoutError::invalid(format!(
            "a layer is `{}`, and only tar archives, plain or compressed with gzip, are taken: `skopeo copy \
             --dest-compress-format gzip` makes them",
            other.escape_debug()
        ))),
    }
}

fn shown(platform: &Platform) -> String {
    let word = |word: &str| if word.is_empty() { "unknown".to_owned() } else { word.escape_debug().to_string() };
    format!("{}/{}", word(&platform.os), word(&platform.architecture))
}
