import { PyramidKVError } from "../../errors.ts";

const ADJECTIVES =
  "able amber ample angry arid bitter blank blue bold brave brief bright broad brown calm careful cheap clean clever cloudy cold common cool crisp curly damp dark dear deep dense dim distant double dry dull dusty eager early easy empty equal faint fair famous fancy fast fierce final fine firm flat foggy fond frail free fresh frosty full gentle giant glad golden grand grave gray great green grim happy hard harsh hasty heavy hidden high hollow honest hot huge humble hungry icy idle jolly keen kind large late lazy lean light little lively lone long loud loyal lucky mad major mellow mild minor misty modest muddy narrow neat new nimble noble noisy odd old open orange pale patient plain polite poor prime proper proud pure purple quick quiet rapid rare raw ready red rich ripe rosy rough round royal rusty sad safe salty secret shallow sharp short shy silent silver simple slim slow small smart smooth soft solid sour spare spicy square stale steady steep stern still stout strange strict strong sturdy subtle sudden sunny sweet swift tall tame tart tender thick thin tidy tight tiny tired tough true vague vast violet vivid warm wary wet white whole wide wild windy wise witty wooden yellow young".split(
    " ",
  );

const NOUNS =
  "acorn anchor apple arrow attic badge baker banjo barrel basin basket beacon beaver bell bench berry bishop blanket boat bonnet bottle bridge broom bucket butter button cabin cactus camel candle canoe canyon captain carpet carrot castle cedar cellar chair chapel cherry chimney cider clock cloud clover coach coat coffee collar comet copper coral corner cotton cousin crane cricket crown curtain dagger dairy daisy desert diamond dolphin donkey door dragon drum eagle easel elbow engine falcon farmer feather fence ferry fiddle finger flute forest fountain fox garden garlic gate ginger glacier glove goose grape guitar hammer harbor harp hazel helmet heron hill honey hook horse island ivory jacket jar jewel jungle kettle key kitchen kite ladder lagoon lamp lantern lemon letter library lily lion lizard lobster magnet mantle maple marble market meadow mirror monk moon mountain mug museum mustard napkin needle nest novel nut oak oasis oboe ocean olive onion orchard otter oven owl oyster paddle palace panther paper parcel parrot pebble pencil pepper piano pigeon pillow pine pirate planet plum pocket pond poppy potato prairie puddle puzzle quilt rabbit radish raft raven ribbon river robin rocket rope sailor salmon satchel saddle school shadow shelf shepherd ship shovel singer slipper snail spider spoon spring stable star statue stone stork storm street summit swan table tailor teapot temple thistle thunder tiger timber tomato tower trumpet tulip tunnel turnip turtle valley vase velvet vessel village vinegar violin wagon walnut walrus water whale wheat wheel whistle willow window winter wolf".split(
    " ",
  );

/** Draws in a row that were drawn before: then there are hardly any left. */
const MOST_TRIES = 10_000;

/** Draws that no caller sees twice. */
export type Draw = () => string;

/** Numbers, words and the like, each once. */
export function drawer(random: () => number, make: (random: () => number) => string): Draw {
  const words = new Set<string>();
  return () => {
    for (let tries = 0; tries < MOST_TRIES; tries++) {
      const value = make(random);
      if (words.has(value)) continue;
      words.add(value);
      return value;
    }
    throw new PyramidKVError(
      "USAGE",
      `there are no more than some ${words.size} different ones; ask for fewer or a shorter text`,
    );
  };
}

export const pick = <T>(random: () => number, from: readonly T[]): T =>
  from[Math.floor(random() * from.length)] as T;

const letters = "abcdefghijklmnopqrstuvwxyz";

/** What keys and values are made of. */
export const KINDS = {
  /** adjective-noun */
  words: (random: () => number) => `${pick(random, ADJECTIVES)}-${pick(random, NOUNS)}`,
  /** 7 digits */
  numbers: (random: () => number) => String(1_000_000 + Math.floor(random() * 9_000_000)),
  /** 5 digits */
  codes: (random: () => number) => String(10_000 + Math.floor(random() * 90_000)),
  uuids: (random: () => number) => {
    const hex = Array.from({ length: 32 }, () => pick(random, [..."0123456789abcdef"]));
    hex[12] = "4";
    hex[16] = pick(random, [..."89ab"]);
    const s = hex.join("");
    return [s.slice(0, 8), s.slice(8, 12), s.slice(12, 16), s.slice(16, 20), s.slice(20)].join("-");
  },
  /** 5 capital letters */
  variables: (random: () => number) =>
    Array.from({ length: 5 }, () => pick(random, [...letters]))
      .join("")
      .toUpperCase(),
  /** 6 letters */
  coded: (random: () => number) =>
    Array.from({ length: 6 }, () => pick(random, [...letters])).join(""),
} as const satisfies Readonly<Record<string, (random: () => number) => string>>;

export type Kind = keyof typeof KINDS;

/** How many plain words there are. */
export const PLAIN_WORDS = ADJECTIVES.length + NOUNS.length;

/** Plain English words in random order, each once. */
export function plainWords(random: () => number): Draw {
  const plain = shuffled([...ADJECTIVES, ...NOUNS], random);
  return () => plain.pop() as string;
}

/** Puts the array itself into random order (Fisher and Yates). */
export function shuffled<T>(items: T[], random: () => number): T[] {
  for (let i = items.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [items[i], items[j]] = [items[j] as T, items[i] as T];
  }
  return items;
}
