"""Which records make which step, worked out again from docs/data.md alone."""

WORD, LONG = (1 << 32) - 1, (1 << 64) - 1
WINDOW, TRIED = 8192, 256


def philox(key, low, high):
    """Philox-4x32-10 (Salmon et al. 2011)."""
    c = [low & WORD, low >> 32, high & WORD, high >> 32]
    k = [key & WORD, key >> 32]
    for _ in range(10):
        a, b = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [(b >> 32) ^ c[1] ^ k[0], b & WORD, (a >> 32) ^ c[3] ^ k[1], a & WORD]
        k = [(k[0] + 0x9E3779B9) & WORD, (k[1] + 0xBB67AE85) & WORD]
    return c


assert philox(LONG, LONG, LONG) == [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]  # Random123's known answer


def words(seed, stream):
    block = 0
    while True:
        yield from philox(seed, block, stream)
        block += 1


def fnv1a(text):
    value = 0xCBF29CE484222325
    for byte in text.encode():
        value = (value ^ byte) * 0x100000001B3 & LONG
    return value


def shuffled(count, seed, epoch):
    order, drawn = list(range(count)), words(seed, epoch ^ fnv1a("sample order"))
    for i in range(count, 1, -1):
        while True:
            value = next(drawn) << 32 | next(drawn)
            if value < LONG - LONG % i:
                break
        j = value % i
        order[i - 1], order[j] = order[j], order[i - 1]
    return order


def fullest(counts, room, sign):
    """Lengths that fill the room: the first combination in ascending order (sign 1) or descending (−1), else the fullest of the first 256 that are tried."""
    best, tried = (room, []), 0

    def search(chosen, least, room):
        nonlocal best, tried
        if room < best[0]:
            best = room, chosen
        tried += 1
        if tried > TRIED or best[0] == 0:
            return True
        for length in sorted(counts)[::sign]:
            if sign * length >= least and length <= room and counts[length] > chosen.count(length) and search(chosen + [length], sign * length, room - length):
                return True
        return False

    search([], -room, room)
    return best[1]


def filled(records, lengths, most, sign):
    """A row takes the longest that is left, then what fills it."""
    left, rows = {}, []
    for record in records:
        left.setdefault(lengths[record], []).append(record)
    while any(left.values()):
        longest = max(length for length, some in left.items() if some)
        row = [left[longest].pop(0)]
        for length in fullest({length: len(some) for length, some in left.items()}, most - longest, sign):
            row.append(left[length].pop(0))
        rows.append(row)
    return rows


def packed(order, lengths, most, seed, epoch):
    """Window by window, with the shorter tried first, or the longer where that leaves places; rows come in a random order."""
    out = []
    for number, begin in enumerate(range(0, len(order), WINDOW)):
        records = order[begin : begin + WINDOW]
        rows = filled(records, lengths, most, 1)
        if 100 * sum(lengths[record] for record in records) < 98 * most * len(rows):
            rows = min(rows, filled(records, lengths, most, -1), key=len)
        out += [rows[i] for i in shuffled(len(rows), seed ^ fnv1a("row order"), epoch << 32 ^ number)]
    return out


def steps(lengths, seed, rows_a_step, pack_to=None):
    """The records of each step, over all epochs without end."""
    epoch = 0
    while True:
        order = shuffled(len(lengths), seed, epoch)
        rows = packed(order, lengths, pack_to, seed, epoch) if pack_to else [[i] for i in order]
        for begin in range(0, len(rows), rows_a_step):
            yield [record for row in rows[begin : begin + rows_a_step] for record in row]
        epoch += 1
