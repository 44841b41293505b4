// The sounds, made here and loaded from nowhere. One burst at a time, never stacked; a patient goes before the box.

const LATENCY_S = 0.05;
const GAP_S = 0.5;
const AHEAD_S = 12; // scheduled this far ahead, so that a slowed timer of a page behind others leaves no gap

// Each pulse: when it starts, its fundamental, its length (s), its gain.
const BURST = [0, 0.25, 0.5, 0.85, 1.1, 1.85, 2.1, 2.35, 2.7, 2.95];
const PATTERNS = {
  critical: {
    every: 5,
    pulses: BURST.map((at, index) => [at, index === 3 || index === 8 ? 698 : 523, 0.17, 0.8]),
  },
  blind: { every: 10, pulses: [[0, 220, 0.45, 0.6], [0.6, 165, 0.6, 0.6]] },
  technical: { every: 0, pulses: [[0, 220, 0.45, 0.6], [0.6, 165, 0.6, 0.6]] },
  test: { every: 0, pulses: [330, 392, 494, 587].map((hz, index) => [index * 0.3, hz, 0.25, 0.5]) },
};

let context = null;
let armed = false;
let lastTime = -1;
let stalled = 0;
let wanted = null; // the pattern that goes on until it is no longer wanted
let gate = null; // what is being played passes here; closing it silences what was scheduled ahead
let nextBurst = 0;
let onceUntil = 0; // what is played once is not cut off by the next such
export const facts = { pulsesScheduled: 0, firstPulseAt: null };

function pulse(at, hz, length, gain) {
  const loud = context.createGain();
  loud.connect(gate);
  loud.gain.setValueAtTime(0, at);
  loud.gain.linearRampToValueAtTime(gain, at + 0.02);
  loud.gain.setValueAtTime(gain, at + length - 0.03);
  loud.gain.linearRampToValueAtTime(0, at + length);
  for (const harmonic of [1, 2, 3, 4, 5]) {
    const tone = context.createOscillator();
    const share = context.createGain();
    tone.frequency.value = hz * harmonic;
    share.gain.value = 0.42 / harmonic;
    tone.connect(share);
    share.connect(loud);
    tone.start(at);
    tone.stop(at + length);
  }
  facts.pulsesScheduled += 1;
}

function play(name, at) {
  for (const [after, hz, length, gain] of PATTERNS[name].pulses) pulse(at + after, hz, length, gain);
}

function openGate() {
  if (gate) gate.disconnect();
  gate = context.createGain();
  gate.connect(context.destination);
}

function running() {
  return context !== null && context.state === 'running' && stalled < 3;
}

export function isArmed() {
  return armed && running();
}

export function state() {
  if (context === null) return 'none';
  return isArmed() ? 'armed' : context.state === 'running' ? 'starting' : context.state;
}

function makeContext() {
  if (context === null) {
    const Kind = window.AudioContext || window.webkitAudioContext;
    if (!Kind) return false;
    context = new Kind();
    openGate();
  }
  return true;
}

// Where the browser lets a page sound by itself, nobody has to press: armed once a first tone, too soft to hear, has ended.
export function tryWithoutPress() {
  if (!makeContext()) return;
  const tone = context.createOscillator();
  const nothing = context.createGain();
  nothing.gain.value = 0;
  tone.connect(nothing);
  nothing.connect(context.destination);
  tone.onended = () => {
    if (context.state === 'running') armed = true;
  };
  tone.start();
  tone.stop(context.currentTime + 0.1);
}

// A browser that will not let it sound refuses: its state says so.
function resumed() {
  return context.resume().catch(() => {});
}

// A press: the test tone, and armed only once it has ended and the clock of the sound ran meanwhile.
export async function arm() {
  if (!makeContext()) return false;
  const patience = new Promise((done) => setTimeout(done, 2000));
  await Promise.race([resumed(), patience]);
  if (context.state !== 'running') return false;
  const start = context.currentTime;
  if (wanted === null) {
    openGate();
    play('test', start + LATENCY_S);
  }
  await new Promise((done) => setTimeout(done, 1300));
  armed = context.state === 'running' && context.currentTime > start + 0.5;
  return armed;
}

// Called once a second: a sound that has gone must be noticed.
export function check() {
  if (context === null) return;
  if (context.state !== 'running') {
    if (armed) resumed();
    return;
  }
  stalled = context.currentTime > lastTime ? 0 : stalled + 1;
  lastTime = context.currentTime;
}

// `name` goes on and on until something else, or null, is wanted. `anew`: begins its burst at once.
export function want(name, anew) {
  if (name !== wanted || anew) {
    wanted = name;
    if (context) {
      openGate();
      nextBurst = context.currentTime + LATENCY_S;
    }
  }
  keepSounding();
}

// A sound that is played once, where nothing more important sounds. Returns whether it is played.
export function once(name) {
  if (!isArmed() || wanted !== null || context.currentTime < onceUntil) return false;
  openGate();
  play(name, context.currentTime + LATENCY_S);
  const [after, , length] = PATTERNS[name].pulses.at(-1);
  onceUntil = context.currentTime + LATENCY_S + after + length + GAP_S;
  return true;
}

export function keepSounding() {
  if (!wanted || !running()) return;
  const every = PATTERNS[wanted].every;
  if (nextBurst < context.currentTime) nextBurst = context.currentTime + LATENCY_S;
  while (nextBurst < context.currentTime + AHEAD_S) {
    play(wanted, nextBurst);
    nextBurst += every;
  }
}
