/** How many pairs are told in words; the JSON has more. */
export const MOST_PAIRS = 20
