//! Makes the default variants of one image, for the bench: `variants IMAGE FOLDER`.

use std::path::Path;
use std::process::ExitCode;

use segue_image::{Request, variants};

fn main() -> ExitCode {
    let args: Vec<_> = std::env::args_os().collect();
    let [_, image, folder] = args.as_slice() else {
        eprintln!("variants: needs an image and a folder");
        return ExitCode::from(2);
    };
    let made = std::fs::read(image).map_err(|e| e.to_string()).and_then(|bytes| {
        let set = variants(&bytes, &Request::default()).map_err(|e| e.to_string())?;
        for file in set.files {
            let name = format!("image-{}.webp", file.variant.width);
            std::fs::write(Path::new(folder).join(name), file.bytes).map_err(|e| e.to_string())?;
        }
        Ok(())
    });
    match made {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("variants: {why}");
            ExitCode::FAILURE
        }
    }
}
