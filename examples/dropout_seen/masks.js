// The masks of minigrad/masks.py, bit for bit, from numbers of 32 bits alone.
//
// A word of 64 bits is a pair [low, high] of numbers from 0 to 2**32 - 1.
"use strict";

const HALF = 2 ** 32;

// The product of two numbers of 32 bits, as a word: from products of 16 bits, which are exact.
function product32(a, b) {
  const [aLow, aHigh, bLow, bHigh] = [a & 0xffff, a >>> 16, b & 0xffff, b >>> 16];
  const first = aHigh * bLow + ((aLow * bLow) >>> 16);
  const second = aLow * bHigh + (first & 0xffff);
  const high = aHigh * bHigh + (first >>> 16) + (second >>> 16);
  return [Math.imul(a, b) >>> 0, high];
}

// The product of two words, as its low and its high word.
function product64([aLow, aHigh], [bLow, bHigh]) {
  const [r0, carry] = product32(aLow, bLow);
  const one = product32(aLow, bHigh);
  const other = product32(aHigh, bLow);
  const [low, high] = product32(aHigh, bHigh);
  const r1 = carry + one[0] + other[0];
  const r2 = Math.floor(r1 / HALF) + one[1] + other[1] + low;
  const r3 = Math.floor(r2 / HALF) + high;
  return [[r0, r1 % HALF], [r2 % HALF, r3]];
}

// The sum of two words, and what does not fit.
function sum64([aLow, aHigh], [bLow, bHigh]) {
  const low = aLow + bLow;
  const high = aHigh + bHigh + (low >= HALF);
  return [[low % HALF, high % HALF], Number(high >= HALF)];
}

const add = (a, b) => sum64(a, b)[0];
const multiply = (a, b) => product64(a, b)[0];
const xor = (a, b) => [(a[0] ^ b[0]) >>> 0, (a[1] ^ b[1]) >>> 0];
const shiftedRight = ([low, high], n) => [((low >>> n) | (high << (32 - n))) >>> 0, high >>> n];

const FACTORS = [[0xe14c6c93, 0xd2e7470e], [0x95121157, 0xca5a8263]];
const GAMMA = [0x7f4a7c15, 0x9e3779b9];
const STEPS = [GAMMA, [0x84caa73b, 0xbb67ae85]];
const MIXES = [[0x1ce4e5b9, 0xbf58476d], [0x133111eb, 0x94d049bb]];

// Philox4x64-10: the block of four words after an offset, under the key (seed, stream).
function block([seed, stream, offset], index, purpose = 0) {
  const [first, carry] = sum64(offset, [(index + 1) % HALF, Math.floor((index + 1) / HALF)]);
  let [c0, c1, c2, c3] = [first, [carry, 0], [purpose, 0], [0, 0]];
  let [k0, k1] = [seed, stream];
  for (let round = 0; round < 10; round++) {
    const [low0, high0] = product64(FACTORS[0], c0);
    const [low1, high1] = product64(FACTORS[1], c2);
    [c0, c1, c2, c3] = [xor(xor(high1, c1), k0), low1, xor(xor(high0, c3), k1), low0];
    [k0, k1] = [add(k0, STEPS[0]), add(k1, STEPS[1])];
  }
  return [c0, c1, c2, c3];
}

// Byte number `place` of a block, of each word the lowest byte first.
const byteOf = (words, place) => (words[place >> 3][(place >> 2) & 1] >>> (8 * (place & 3))) & 0xff;

// 24 bits for a place, computed where the byte ties with the threshold's.
function lowerBits(key, place) {
  const steps = place + 1;
  let z = add(key, multiply(GAMMA, [steps % HALF, Math.floor(steps / HALF)]));
  z = multiply(xor(z, shiftedRight(z, 30)), MIXES[0]);
  z = multiply(xor(z, shiftedRight(z, 27)), MIXES[1]);
  return z[1] >>> 8;
}

// As Python rounds: a half goes to the even neighbour.
function rounded(x) {
  const down = Math.floor(x);
  const rest = x - down;
  return rest > 0.5 || (rest === 0.5 && down % 2 === 1) ? down + 1 : down;
}

// Which of n elements are kept, 1 or 0, at probability p of being dropped.
function keepMask(state, n, p) {
  const threshold = rounded(p * HALF);
  const [high, low] = [Math.floor(threshold / 2 ** 24), threshold % 2 ** 24];
  const keep = new Uint8Array(n);
  const key = low ? block(state, 0, 1)[0] : null;
  let words;
  for (let i = 0; i < n; i++) {
    if (i % 32 === 0) words = block(state, i / 32);
    const upper = byteOf(words, i % 32);
    if (upper > high) keep[i] = 1;
    else if (upper === high) keep[i] = low === 0 || lowerBits(key, i) >= low ? 1 : 0;
  }
  return keep;
}

// A stream of masks, like minigrad.Generator: its state moves on by a block for 32 elements.
class Generator {
  constructor(seed, stream = [0, 0], offset = [0, 0]) {
    this.state = [seed, stream, offset];
  }

  keepMask(n, p) {
    const [seed, stream, offset] = this.state;
    this.state = [seed, stream, add(offset, [Math.ceil(n / 32), 0])];
    return keepMask([seed, stream, offset], n, p);
  }
}

// Words in decimal digits.
function wordOf(digits) {
  let word = [0, 0];
  for (const digit of digits) word = add(multiply(word, [10, 0]), [Number(digit), 0]);
  return word;
}

function digitsOf([low, high]) {
  let digits = "";
  do {
    const rest = (high % 10) * HALF + low;
    digits = String(rest % 10) + digits;
    [low, high] = [Math.floor(rest / 10), Math.floor(high / 10)];
  } while (low || high);
  return digits;
}
