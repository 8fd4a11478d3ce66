// Plays a stream in Chromium and prints what was seen, as JSON.
//
//     node tests/browser/play.mjs FOLDER [--shots FOLDER] [--players hls,dash,shaka,native,file]
//
// FOLDER is an output folder of `segue run` with stream/ in it. It is served on loopback with ranges. Every player
// plays from the start to the end, seeks into each part, switches renditions and shows subtitles; a frame's own time
// is that of the media (requestVideoFrameCallback).

import { createReadStream, promises as fs } from 'node:fs';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const require = createRequire(import.meta.url);
const { chromium } = require('playwright-core');
const root = path.resolve(process.argv[2]);
const option = (name, usual) => {
  const at = process.argv.indexOf('--' + name);
  return at < 0 ? usual : process.argv[at + 1];
};
const shots = option('shots', null);
const players = option('players', 'hls,dash,shaka,native,file').split(',');
const modules = path.join(path.dirname(fileURLToPath(import.meta.url)), '../../node_modules');
const LIBRARIES = {
  '/lib/hls.js': 'hls.js/dist/hls.min.js',
  '/lib/dash.js': 'dashjs/dist/modern/umd/dash.all.min.js',
  '/lib/shaka.js': 'shaka-player/dist/shaka-player.compiled.js',
};
const TYPES = {
  '.m3u8': 'application/vnd.apple.mpegurl', '.mpd': 'application/dash+xml', '.m4s': 'video/mp4', '.mp4': 'video/mp4',
  '.vtt': 'text/vtt', '.html': 'text/html', '.json': 'application/json', '.js': 'text/javascript',
};

const requests = [];
const server = createServer(async (request, response) => {
  const url = new URL(request.url, 'http://localhost');
  requests.push(url.pathname);
  if (url.pathname === '/blank.html') return response.writeHead(200, { 'content-type': 'text/html' }).end('<!DOCTYPE html><title>t</title><video id="video" muted playsinline width="640"></video>');
  const library = LIBRARIES[url.pathname];
  const file = library ? path.join(modules, library) : path.join(root, path.normalize(decodeURIComponent(url.pathname)));
  try {
    const { size } = await fs.stat(file);
    const headers = { 'content-type': TYPES[path.extname(file)] || 'application/octet-stream', 'accept-ranges': 'bytes', 'cache-control': 'no-store' };
    const range = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range || '');
    if (!range) {
      response.writeHead(200, { ...headers, 'content-length': size });
      return createReadStream(file).pipe(response);
    }
    const from = Number(range[1]), to = Math.min(range[2] ? Number(range[2]) : size - 1, size - 1);
    if (from > to) return response.writeHead(416, { 'content-range': `bytes */${size}` }).end();
    response.writeHead(206, { ...headers, 'content-length': to - from + 1, 'content-range': `bytes ${from}-${to}/${size}` });
    return createReadStream(file, { start: from, end: to }).pipe(response);
  } catch {
    return response.writeHead(404).end();
  }
});
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
const base = `http://127.0.0.1:${server.address().port}`;

const plan = JSON.parse(await fs.readFile(path.join(root, 'stream/stream.json'), 'utf8'));
const pictures = plan.stream.renditions.filter((r) => r.kind.picture);
const starts = Object.values(plan.parts[(pictures[0] || plan.stream.renditions[0]).id]).map((part) => part.start / (pictures[0] || plan.stream.renditions[0]).timescale);

// In the page: plays to the end and records what happens.
const inPage = {
  async play(seconds) {
    const video = document.getElementById('video');
    video.muted = true;
    video.playbackRate = 4;
    await video.play();
    const began = performance.now();
    while (!video.ended && performance.now() - began < seconds * 1000) {
      await new Promise((r) => setTimeout(r, 50));
      if (video.paused && !video.ended) await video.play().catch(() => {});
    }
    const buffered = Array.from({ length: video.buffered.length }, (_, i) => [video.buffered.start(i), video.buffered.end(i)]);
    return { ended: video.ended, buffered, ready: video.readyState, paused: video.paused, rate: video.playbackRate, at: video.currentTime, duration: video.duration, error: video.error && video.error.message };
  },
  async seek(target) {
    const video = document.getElementById('video');
    video.pause();
    const frame = new Promise((resolve) => video.requestVideoFrameCallback((_, meta) => resolve(meta.mediaTime)));
    const seeked = new Promise((resolve) => video.addEventListener('seeked', resolve, { once: true }));
    video.currentTime = target;
    const late = new Promise((resolve) => setTimeout(() => resolve(null), 4000));
    await Promise.race([seeked, late]);
    return { target, shown: await Promise.race([frame, late]), width: video.videoWidth, ready: video.readyState };
  },
  async cues() {
    const video = document.getElementById('video');
    const seen = [];
    for (const track of video.textTracks) for (const cue of track.cues || []) seen.push([cue.startTime, cue.endTime, cue.text]);
    return seen;
  },
};

const browser = await chromium.launch({
  executablePath: process.env.SEGUE_TEST_CHROMIUM || '/usr/bin/chromium',
  headless: true,
  args: ['--headless=new', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync', '--autoplay-policy=no-user-gesture-required', '--mute-audio'],
});
const report = { chromium: browser.version(), starts, players: {} };

async function open(url, setup) {
  const page = await browser.newPage({ viewport: { width: 1280, height: 720 } });
  const errors = [];
  page.on('console', (message) => { if (message.type() === 'error') errors.push(message.text()); });
  page.on('pageerror', (error) => errors.push(String(error)));
  if (setup) await page.addInitScript(setup);
  await page.goto(url);
  return { page, errors };
}

async function watch(name, page, errors, switchTo) {
  const result = { errors };
  await page.waitForFunction(() => document.getElementById('video').readyState >= 2, null, { timeout: 20000 });
  // as a viewer does it in the controls of the browser
  await page.evaluate(() => { for (const track of document.getElementById('video').textTracks) track.mode = 'showing'; });
  if (shots) await page.screenshot({ path: path.join(shots, name + '-start.png') });
  result.played = await page.evaluate(inPage.play, 30);
  result.cues = await page.evaluate(inPage.cues);
  result.seeks = [];
  if (pictures.length) {
    for (const start of starts) {
      result.seeks.push(await page.evaluate(inPage.seek, start + 0.5));
      if (process.env.SEGUE_TEST_VERBOSE) console.error(name, JSON.stringify(result.seeks.at(-1)));
    }
  }
  if (switchTo) {
    result.widths = [];
    for (const rendition of pictures) {
      await page.evaluate(switchTo, rendition.kind.picture.height);
      await page.waitForTimeout(500);
      const at = starts[result.widths.length % starts.length] + 0.2;
      let seen = null;
      for (let i = 0; i < 5 && !(seen && seen.width === rendition.kind.picture.width); i++) {
        seen = await page.evaluate(inPage.seek, at + i * 0.01);
        await page.waitForTimeout(100);
      }
      result.widths.push([rendition.kind.picture.width, seen.width]);
    }
  }
  if (shots) await page.screenshot({ path: path.join(shots, name + '-end.png') });
  result.events = await page.evaluate(() => window.__errors || []);
  report.players[name] = result;
  if (process.env.SEGUE_TEST_VERBOSE) console.error(name, JSON.stringify(result));
  await page.close();
}

for (const name of players) {
  if (name === 'hls') {
    const { page, errors } = await open(base + '/stream/player.html', () => {
      let player;
      window.__errors = [];
      Object.defineProperty(window, 'player', {
        get: () => player,
        set: (hls) => {
          player = hls;
          hls.on('hlsError', (_, error) => window.__errors.push([error.type, error.details, error.fatal]));
        },
      });
    });
    await watch(name, page, errors, (height) => { player.currentLevel = player.levels.findIndex((level) => level.height === height); });
  } else if (name === 'dash' || name === 'shaka') {
    const { page, errors } = await open(base + '/blank.html');
    await page.addScriptTag({ url: `/lib/${name}.js` });
    if (name === 'dash') {
      await page.evaluate(() => {
        window.__errors = [];
        const player = window.player = dashjs.MediaPlayer().create();
        player.on('error', (event) => window.__errors.push([event.error && event.error.code, event.error && event.error.message]));
        player.initialize(document.getElementById('video'), '/stream/manifest.mpd', false);
        player.updateSettings({ streaming: { abr: { autoSwitchBitrate: { video: false } }, text: { defaultEnabled: true } } });
      });
      await watch(name, page, errors, (height) => {
        const found = player.getRepresentationsByType('video').find((one) => one.height === height);
        player.setRepresentationForTypeById('video', found.id, true);
      });
    } else {
      await page.evaluate(async () => {
        window.__errors = [];
        shaka.polyfill.installAll();
        const player = window.player = new shaka.Player();
        await player.attach(document.getElementById('video'));
        player.addEventListener('error', (event) => window.__errors.push([event.detail.code, event.detail.message]));
        player.configure({ abr: { enabled: false } });
        await player.load('/stream/manifest.mpd');
      });
      await watch(name, page, errors, (height) => {
        const found = player.getVariantTracks().find((one) => one.height === height);
        player.selectVariantTrack(found, true);
      });
    }
  } else if (name === 'native') {
    const { page, errors } = await open(base + '/blank.html');
    const can = await page.evaluate(() => document.getElementById('video').canPlayType('application/vnd.apple.mpegurl'));
    if (can) {
      await page.evaluate(() => { document.getElementById('video').src = '/stream/master.m3u8'; });
      await watch(name, page, errors);
    } else {
      report.players[name] = { unsupported: true };
      await page.close();
    }
  } else if (name === 'file') {
    const { page, errors } = await open('file://' + path.join(root, 'stream/player.html'));
    await watch(name, page, errors);
  }
}
await browser.close();
server.close();
report.requests = requests.length;
console.log(JSON.stringify(report, null, 1));
process.exit(0);
