// A voice for the fake microphone: vowels, four syllables a second. Its own beeps are too short for speech.
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const RATE = 48_000;
const SECONDS = 4;
const HEADER_BYTES = 44;

/** Chromium's argument for it, and what removes the file again. */
export function speaking() {
  const folder = mkdtempSync(join(tmpdir(), "voice-"));
  const file = join(folder, "voice.wav");
  const samples = RATE * SECONDS;
  const wave = Buffer.alloc(HEADER_BYTES + 2 * samples);
  wave.write("RIFF", 0);
  wave.writeUInt32LE(wave.length - 8, 4);
  wave.write("WAVEfmt ", 8);
  wave.writeUInt32LE(16, 16); // what follows: PCM, one channel, 16 bits
  wave.writeUInt16LE(1, 20);
  wave.writeUInt16LE(1, 22);
  wave.writeUInt32LE(RATE, 24);
  wave.writeUInt32LE(2 * RATE, 28);
  wave.writeUInt16LE(2, 32);
  wave.writeUInt16LE(16, 34);
  wave.write("data", 36);
  wave.writeUInt32LE(2 * samples, 40);
  for (let index = 0; index < samples; index += 1) {
    const at = index / RATE;
    const syllable = Math.max(0, Math.sin(2 * Math.PI * 4 * at));
    const pitch = 140 + 40 * Math.sin(2 * Math.PI * 0.7 * at);
    let value = 0;
    for (let harmonic = 1; harmonic < 12; harmonic += 1) value += Math.sin(2 * Math.PI * pitch * harmonic * at) / harmonic;
    wave.writeInt16LE(Math.round(4_500 * syllable * value), HEADER_BYTES + 2 * index);
  }
  writeFileSync(file, wave);
  return { folder, argument: `--use-file-for-fake-audio-capture=${file}` };
}
