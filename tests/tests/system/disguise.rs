//! Playlists and scripts as sources: Segue reads only the source, never files or URLs that it names.

use std::net::TcpListener;
use std::path::PathBuf;

use segue_tests::{Fixture, Sandbox, fixture};

/// Fails unless the source is refused and nothing that it names is requested.
fn refused(name: &str, content: impl Fn(&str, u16) -> String) {
    let sandbox = Sandbox::new();
    let secret: PathBuf = sandbox.path("secret.mp4");
    std::fs::copy(fixture(Fixture::H264Closed), &secret).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    let source = sandbox.file(name, content(secret.to_str().unwrap(), port));
    for args in [&["--recipe", "rejoin"][..], &["--recipe", "mp4"]] {
        let ended = sandbox.end(&mut sandbox.run(&source, args));
        sandbox.assert_refused(&ended, 3, &[name]);
    }
    let planned = sandbox.end(sandbox.segue(["plan", "--recipe", "rejoin"]).arg(&source));
    assert_eq!(planned.code, Some(3), "{planned:#?}");
    let verified = sandbox.end(sandbox.segue(["verify"]).arg(&secret).arg(&source));
    assert_ne!(verified.code, Some(0), "a list of a file is not the file: {verified:#?}");
    assert!(listener.accept().is_err(), "{name}: a URL of the source was requested");
    sandbox.assert_nothing_left();
}

#[test]
fn concat_scripts() {
    for name in ["list.ffconcat", "list.txt", "list.mp4", "list.mkv"] {
        refused(name, |secret, _| format!("ffconcat version 1.0\nfile '{secret}'\n"));
    }
    refused("url.ffconcat", |_, port| {
        format!("ffconcat version 1.0\nfile 'http://127.0.0.1:{port}/x.mp4'\n")
    });
}

#[test]
fn hls_playlists() {
    for name in ["list.m3u8", "list.mp4", "list.ts"] {
        refused(name, |secret, _| {
            format!("#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:6,\n{secret}\n#EXT-X-ENDLIST\n")
        });
        refused(name, |_, port| {
            format!(
                "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:6,\nhttp://127.0.0.1:{port}/x.ts\n#EXT-X-ENDLIST\n"
            )
        });
    }
    refused("passwd.m3u8", |_, _| "#EXTM3U\n#EXTINF:6,\n/etc/passwd\n#EXT-X-ENDLIST\n".to_owned());
}

#[test]
fn dash_manifests_and_sessions() {
    refused("manifest.mpd", |_, port| {
        format!(
            "<?xml version=\"1.0\"?><MPD xmlns=\"urn:mpeg:dash:schema:mpd:2011\" type=\"static\" mediaPresentationDuration=\"PT6S\">\
             <Period><AdaptationSet mimeType=\"video/mp4\"><Representation id=\"1\" bandwidth=\"1\">\
             <BaseURL>http://127.0.0.1:{port}/x.mp4</BaseURL></Representation></AdaptationSet></Period></MPD>"
        )
    });
    refused("call.sdp", |_, port| {
        format!(
            "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video {port} RTP/AVP 96\na=rtpmap:96 H264/90000\n"
        )
    });
}

#[test]
fn subtitles_beside_and_file_names_with_patterns_are_only_names() {
    // names that ffmpeg would interpret as a pattern, a protocol or an option
    for name in ["a%03d.mp4", "file:x.mp4", "-map.mp4", "pipe:.mp4", "a b'c\"d.mp4", "ünï.mp4"] {
        let sandbox = Sandbox::new();
        let source = sandbox.path(name);
        std::fs::copy(fixture(Fixture::H264Closed), &source).unwrap();
        sandbox.done(&source, &["--recipe", "rejoin", "--segment-duration", "2s"]);
        segue_tests::assert_same_media(&source, &sandbox.joined());
    }
}
