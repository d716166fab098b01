# SPDX-License-Identifier: MIT
# Commands for gdb that know the heap of a program on HAKMEM; also with core files.
#
#   (gdb) source hakmem-gdb.py
#   (gdb) hakmem whatis ADDRESS    which block is it in: size, slab, SuperSlab, heap; live, cached or free
#   (gdb) hakmem walk [SIZE]       every block of that size (of all sizes: how many)
#   (gdb) hakmem heaps             each thread's heap
#
# It calls nothing in the program.  All that it knows of the layout it reads from hakmem_view (lib/view.h).
"""HAKMEM's heap, for gdb."""

import struct

import gdb


class View:
    """What the library tells about itself, by name."""

    def __init__(self):
        try:
            at = int(gdb.parse_and_eval("(unsigned long)&hakmem_view"))
        except gdb.error as error:
            raise gdb.GdbError("the program is not on HAKMEM, or has not started: " + str(error)) from error
        self.inferior = gdb.selected_inferior()
        magic, layout, self.word, places, numbers, version = struct.unpack("=16s4I32s", self.read(at, 64))
        if magic != b"HAKMEM view 1\n\x1a\0" or layout != 1:
            raise gdb.GdbError("hakmem_view is not one that this script can read")
        self.version = version.split(b"\0")[0].decode()
        rows = [self.word_at(at + 64 + i * self.word) for i in range(places)]
        rows += struct.unpack("=%dI" % numbers, self.read(at + 64 + places * self.word, numbers * 4))
        self.rows = {}
        name_at = rows[1]
        for row in rows:
            name = self.text(name_at)
            self.rows[name] = row
            name_at += len(name) + 1

    def __getattr__(self, name):
        try:
            return self.__dict__["rows"][name]
        except KeyError as error:
            raise gdb.GdbError("the library (%s) does not tell '%s'" % (self.version, name)) from error

    def read(self, at, size):
        return bytes(self.inferior.read_memory(at, size))

    def word_at(self, at):
        return int.from_bytes(self.read(at, self.word), "little" if LITTLE else "big")

    def number_at(self, at, size):
        return int.from_bytes(self.read(at, size), "little" if LITTLE else "big")

    def text(self, at):
        return self.inferior.read_memory(at, 64).tobytes().split(b"\0")[0].decode()


LITTLE = struct.pack("=H", 1) == b"\1\0"


class Class:
    """A size of block."""

    def __init__(self, view, number):
        row = view.classes + number * view.class_row
        self.number = number
        self.size = view.number_at(row + view.class_size, 4)
        self.blocks = view.number_at(row + view.class_blocks, 2)
        self.slabs = view.number_at(row + view.class_slabs, 1)


class Registry:
    """From any address to its owner."""

    def __init__(self):
        self.view = view = View()
        at = view.registry
        self.base = view.word_at(at + view.registry_base)
        self.slabs = view.word_at(at + view.registry_slabs)
        self.tags = view.word_at(at + view.registry_tags)
        self.slots = view.word_at(at + view.registry_slots)
        self.high = view.word_at(at + view.registry_high)
        self.slab_bytes = 1 << view.slab_shift
        self.per_slot = 1 << (view.superslab_shift - view.slab_shift)

    def slot(self, number):
        return self.slots - (number + 1) * self.view.slot_size

    def state(self, slot):
        return self.view.number_at(self.slot(slot) + self.view.slot_state, 4)

    def tag(self, number):
        return self.view.number_at(self.tags + number * 4, 4)

    def address(self, number):
        return self.base + number * self.slab_bytes

    def head(self, number):
        """The head of the span that slab `number` is in, and the span's first slab."""
        heads = self.view.word_at(self.slot(number // self.per_slot) + self.view.slot_slabs)
        head = heads + number % self.per_slot * self.view.slab_size
        first = self.view.number_at(head + self.view.slab_number, 4)
        return heads + first % self.per_slot * self.view.slab_size, first

    def class_of(self, tag):
        return Class(self.view, tag % (1 << self.view.tag_shift) // self.view.tag_class)

    def is_small(self, tag):
        return tag >> self.view.tag_shift >= self.view.heap_first

    def heap(self, owner):
        view = self.view
        number = (owner // view.heap_part_first).bit_length()
        start = view.heap_part_first << number >> 1 if number else 0
        part = view.word_at(view.heap_directory + number * view.word)
        return view.word_at(part + (owner - start) * view.word)

    def cached(self, owner, number):
        """The blocks in a heap's cache of a class."""
        view, heap = self.view, self.heap(owner)
        bin_at = heap + view.heap_bins + number * view.bin_size
        array = view.word_at(bin_at + view.bin_array)
        top = view.word_at(heap + view.heap_caches + number * view.cache_size + view.cache_top)
        capacity = view.number_at(bin_at + view.bin_capacity, 2)
        count = (top - array) // view.word if capacity else 0
        blocks = [view.word_at(array + i * view.word) for i in range(1, count + 1)] if count <= capacity else []
        outs = view.word_at(heap + view.heap_outs)
        if outs and number < view.outs_count:
            array = view.word_at(outs + view.outs_arrays + number * view.word)
            top = view.word_at(outs + view.outs_caches + number * view.cache_size + view.cache_top)
            count = (top - array) // view.word if array else 0
            blocks += [view.word_at(array + i * view.word) for i in range(1, min(count, view.outs_places) + 1)]
        return blocks

    def spans(self):
        """Each span of small blocks: its first slab and its tag."""
        for slot in range(self.high):
            if self.state(slot) != self.view.slot_is_slabs:
                continue
            number = slot * self.per_slot
            while number < (slot + 1) * self.per_slot:
                tag = self.tag(number)
                yield number, tag
                number += max(1, self.class_of(tag).slabs) if self.is_small(tag) else 1

    def is_free(self, head, block):
        bits = self.view.number_at(head + self.view.slab_bits + block // 64 * 8, 8)
        return bits >> (block % 64) & 1 == 1


def number_of(expression):
    try:
        return int(gdb.parse_and_eval(expression))
    except gdb.error as error:
        raise gdb.GdbError(str(error)) from error


def say_small(registry, address, number, tag):
    one, owner = registry.class_of(tag), tag >> registry.view.tag_shift
    head, first = registry.head(number)
    block = (address - registry.address(first)) // one.size
    start = registry.address(first) + block * one.size
    if block >= one.blocks:
        gdb.write("%#x is behind the last block of a slab of %d-byte blocks\n" % (address, one.size))
        return
    if registry.is_free(head, block):
        state = "free, in its slab"
    elif start in registry.cached(owner, one.number):
        state = "free, in the cache of heap %d" % owner
    else:
        state = "live (or freed by another thread, or in that thread's parcels)"
    gdb.write("%#x: block %#x + %d, %d bytes, %s\n" % (address, start, address - start, one.size, state))
    gdb.write("  block %d of %d of slab %#x (%d KiB), of which %d are free; class %d, heap %d\n" % (
        block, one.blocks, registry.address(first), one.slabs * registry.slab_bytes >> 10,
        registry.view.number_at(head + registry.view.slab_free, 2), one.number, owner))
    gdb.write("  SuperSlab %#x, slot %d\n" % (registry.address(first - first % registry.per_slot), first // registry.per_slot))


def say_mid(registry, address, number):
    while registry.tag(number) == registry.view.tag_inner:
        number -= 1
    head, first = registry.head(number)
    size = registry.view.number_at(head + registry.view.slab_free, 2) * registry.slab_bytes
    start = registry.address(first)
    gdb.write("%#x: block %#x + %d, %d bytes, live; slabs of SuperSlab %#x, slot %d\n" % (
        address, start, address - start, size, registry.address(first - first % registry.per_slot),
        first // registry.per_slot))


def say_large(registry, address, slot):
    view = registry.view
    while registry.state(slot) == view.slot_is_inner and slot > 0:
        slot -= 1
    start = registry.address(slot * registry.per_slot)
    size = view.word_at(registry.slot(slot) + view.slot_bytes)
    if registry.state(slot) != view.slot_is_large or address >= start + size:
        gdb.write("%#x: no block; perhaps of a large one that was freed and is kept\n" % address)
    else:
        gdb.write("%#x: block %#x + %d, %d bytes, live; large, from slot %d on\n" % (
            address, start, address - start, size, slot))


def say_guarded(registry, address):
    view = registry.view
    base, page = (view.word_at(view.guard + at) for at in (view.guard_base, view.guard_page))
    number, count = (address - base) // page, view.number_at(view.guard + view.guard_count, 4)
    i = min(number // 2, count - 1)
    block = view.word_at(view.guard + view.guard_blocks) + i * view.guard_block
    start, size = (view.word_at(block + at) for at in (view.guard_block_start, view.guard_block_size))
    word = view.number_at(view.word_at(view.guard + view.guard_words) + i * 8, 8)
    if number % 2 == 0 or start == 0:
        gdb.write("%#x: between guarded blocks\n" % address)
    else:
        gdb.write("%#x: block %#x %+d, %d bytes, %s; guarded\n" % (
            address, start, address - start, size,
            "live" if word & view.guard_state == view.guard_is_used else "free"))


class Hakmem(gdb.Command):
    """Look at HAKMEM's heap: hakmem whatis ADDRESS, hakmem walk [SIZE], hakmem heaps."""

    def __init__(self):
        super().__init__("hakmem", gdb.COMMAND_DATA, prefix=True)


class Whatis(gdb.Command):
    """hakmem whatis ADDRESS: which block it is in, and whether that is live."""

    def __init__(self):
        super().__init__("hakmem whatis", gdb.COMMAND_DATA)

    def invoke(self, argument, _from_tty):
        if not argument:
            raise gdb.GdbError("an address is wanted")
        address = number_of("(unsigned long)(%s)" % argument)
        registry = Registry()
        number = (address - registry.base) // registry.slab_bytes
        if not 0 <= number < min(registry.slabs, registry.high * registry.per_slot):
            gdb.write("%#x: not HAKMEM's\n" % address)
            return
        slot, tag = number // registry.per_slot, registry.tag(number)
        if registry.state(slot) in (registry.view.slot_is_large, registry.view.slot_is_inner):
            say_large(registry, address, slot)
        elif registry.state(slot) == registry.view.slot_is_guard:
            say_guarded(registry, address)
        elif registry.state(slot) != registry.view.slot_is_slabs:
            gdb.write("%#x: in HAKMEM's window, but nothing is there\n" % address)
        elif registry.is_small(tag):
            say_small(registry, address, number, tag)
        elif tag in (registry.view.tag_mid, registry.view.tag_inner):
            say_mid(registry, address, number)
        else:
            gdb.write("%#x: a free slab of SuperSlab %#x\n" % (address, registry.address(number - number % registry.per_slot)))


def walk(registry):
    """Each block that is not free in its slab: class, address, whether it is in a cache."""
    caches = {}
    for number, tag in registry.spans():
        if not registry.is_small(tag):
            continue
        one, owner = registry.class_of(tag), tag >> registry.view.tag_shift
        if (owner, one.number) not in caches:
            caches[owner, one.number] = set(registry.cached(owner, one.number))
        head, first = registry.head(number)
        bits = registry.view.read(head + registry.view.slab_bits, (one.blocks + 63) // 64 * 8)
        free = int.from_bytes(bits, "little") if LITTLE else sum(
            int.from_bytes(bits[i:i + 8], "big") << i * 8 for i in range(0, len(bits), 8))
        for block in range(one.blocks):
            if not free >> block & 1:
                start = registry.address(first) + block * one.size
                yield one, start, start in caches[owner, one.number]


class Walk(gdb.Command):
    """hakmem walk [SIZE]: every block of that size with its state; without it, how many there are of each size."""

    def __init__(self):
        super().__init__("hakmem walk", gdb.COMMAND_DATA)

    def invoke(self, argument, _from_tty):
        size = number_of(argument) if argument else None
        counts = {}
        for one, start, is_cached in walk(Registry()):
            if size == one.size:
                gdb.write("%#x %s\n" % (start, "cached" if is_cached else "live"))
            count = counts.setdefault(one.size, [0, 0])
            count[is_cached] += 1
        for each in sorted(counts):
            if size is None:
                gdb.write("%8d bytes: %d live, %d cached\n" % (each, counts[each][0], counts[each][1]))


class Heaps(gdb.Command):
    """hakmem heaps: each heap, its state, and how many blocks its caches hold."""

    def __init__(self):
        super().__init__("hakmem heaps", gdb.COMMAND_DATA)

    def invoke(self, _argument, _from_tty):
        registry = Registry()
        view = registry.view
        states = {view.heap_is_live: "of a thread", view.heap_is_idle: "idle"}
        for owner in range(view.heap_first, view.heap_first + view.number_at(view.heap_count, 4)):
            heap = registry.heap(owner)
            state = states.get(view.number_at(heap + view.heap_state, 4), "lost in a fork")
            cached = sum(len(registry.cached(owner, number)) for number in range(view.class_count))
            gdb.write("heap %d at %#x: %s, %d blocks in its caches\n" % (owner, heap, state, cached))


Hakmem()
Whatis()
Walk()
Heaps()
