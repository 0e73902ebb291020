// Compares what the model expected with what the extension answered.

export class Mismatch extends Error {}

export function agrees(expected, actual) {
  return typeof expected === 'function' ? expected(actual) : expected === actual;
}

// Throws a Mismatch that names the column, else moves the books.
export function judge(prediction, answer) {
  if (answer.error) {
    const accepted = prediction.error ?? prediction.orError ?? [];
    if (accepted.includes(answer.error.code)) return;
    throw new Mismatch(`refused with ${answer.error.code} (${answer.error.message}), expected ${accepted.join(' or ') || 'success'}`);
  }
  if (prediction.error) throw new Mismatch(`succeeded, expected ${prediction.error.join(' or ')}`);
  for (const [column, expected] of Object.entries(prediction.row)) {
    if (!agrees(expected, answer.row[column])) {
      throw new Mismatch(`${column} is ${answer.row[column]}, expected ${expected.wanted ?? expected}`);
    }
  }
  try {
    prediction.apply(answer.row, answer.done);
  } catch (error) {
    throw new Mismatch(error.message);
  }
}
