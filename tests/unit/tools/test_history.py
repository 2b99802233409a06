#!/usr/bin/python3
"""Tests of tests/torture/lib/history.py: each breach of the delivery contract, planted in a good history, is noticed."""
import pathlib
import sys

import tap

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "torture" / "lib"))

import history  # noqa: E402
from history import Entry, Gap, Hello, Left, Live, Page, Send  # noqa: E402

COUNT = 12


class Story:
    """Two senders by turns, and a listener: there from the start, away for 5 and 6, there again."""

    def __init__(self):
        self.sends = {"ann": [], "bob": []}
        self.log = []
        for seq in range(1, COUNT + 1):
            author = 1 + seq % 2
            send = Send(f"c{seq}", author, f"text {seq}")
            send.acks.append((seq, 100 + seq))
            self.sends["ann" if author == 1 else "bob"].append(send)
            self.log.append(Entry(seq, 100 + seq, 1000, author, "x", send.text, send.cid))
        log = self.log
        self.view = [Hello(0), *map(Live, log[:4]), Hello(6), Live(log[6]), Page(log[4:7], 7, False), *map(Live, log[7:])]

    def found(self, *kinds, unordered=()):
        """All that is found is of these kinds, and each of them is."""
        findings = history.check(self.log, self.sends, {"listener": self.view}, unordered)
        found = {kind for kind, count in findings.counts.items() if count}
        assert found == set(kinds), f"found {found}: {list(findings.lines())}"
        assert bool(findings) == bool(kinds)

    def drop(self, seq):
        del self.log[seq - 1]
        self.view = [event for event in self.view if getattr(event, "entry", None) is None or event.entry.seq != seq]


def test_a_good_history():
    Story().found()


def test_nothing_at_all():
    story = Story()
    story.log, story.sends, story.view = [], {}, [Hello(0), Page([], 0, False)]
    story.found()


def test_lost_at_the_end():
    story = Story()
    story.drop(COUNT)
    story.found(history.LOST)


def test_lost_in_the_middle():
    story = Story()
    story.drop(9)
    story.found(history.LOST, history.GAP)


def test_lost_and_its_number_given_anew():
    story = Story()
    story.log[-1] = story.log[-1]._replace(nonce=5, cid="c12b", text="other")
    story.sends["ann"].append(Send("c12b", 1, "other"))
    story.found(history.LOST, history.PUSHED)


def test_unacknowledged_may_be_lost():
    story = Story()
    story.drop(COUNT)
    story.sends["ann"][-1].acks.clear()
    story.found()


def test_unacknowledged_but_pushed():
    story = Story()
    del story.log[-1]
    story.sends["ann"][-1].acks.clear()
    story.found(history.PUSHED)


def more(story, entry):
    story.log.append(entry)
    story.view.append(Live(entry))


def test_twice_with_its_cid():
    story = Story()
    more(story, story.log[3]._replace(seq=COUNT + 1, nonce=7))
    story.found(history.TWICE)


def test_twice_under_another_cid():
    story = Story()
    more(story, story.log[3]._replace(seq=COUNT + 1, nonce=7, cid="c99"))
    story.found(history.TWICE, history.WRONG)


def test_what_nobody_sent():
    story = Story()
    more(story, Entry(COUNT + 1, 7, 1000, 1, "x", "new", "new"))
    story.found(history.WRONG)


def test_a_wrong_text():
    story = Story()
    story.sends["ann"][2].text = "another"
    story.found(history.WRONG)


def test_a_wrong_author():
    story = Story()
    story.log[4] = story.log[4]._replace(author=1)
    story.view = [Hello(COUNT), Page(story.log[8:], COUNT, False)]
    story.found(history.WRONG, history.LOST)


def test_out_of_order():
    story = Story()
    sent = story.sends["bob"]
    sent[1], sent[2] = sent[2], sent[1]
    story.found(history.ORDER)
    story.found(unordered=("bob",))


def test_acknowledged_with_another_number():
    story = Story()
    story.sends["ann"][1].acks = [(3, 104)]
    story.found(history.ACK)


def test_acknowledged_with_another_nonce():
    story = Story()
    story.sends["ann"][1].acks = [(4, 105)]
    story.found(history.ACK)


def test_acknowledged_twice_and_differently():
    story = Story()
    story.sends["ann"][1].acks.append((3, 104))
    story.found(history.ACK)


def test_acknowledged_without_a_nonce():
    story = Story()
    story.sends["ann"][1].acks = [(4, None), (4, 104)]
    story.found()
    story.sends["ann"][1].acks = [(4, 104), (3, None)]
    story.found(history.ACK)


def test_the_log_does_not_begin_at_one():
    story = Story()
    del story.log[0]
    story.sends["bob"][0].acks.clear()
    story.view = [Hello(COUNT), Page(story.log[2:], COUNT, False)]
    story.found(history.GAP)


def test_a_hole_in_what_is_pushed():
    story = Story()
    del story.view[-2]
    story.view.append(Page(story.log[9:], COUNT, False))
    story.found(history.GAP)


def test_a_hole_that_was_announced():
    story = Story()
    story.view[-2] = Gap()
    story.view.append(Page(story.log[9:], COUNT, False))
    story.found()


def test_a_hole_that_is_not_fetched():
    story = Story()
    story.view[-2] = Gap()
    story.found(history.GAP)


def test_the_end_is_missing():
    story = Story()
    del story.view[-1]
    story.found(history.GAP)


def test_who_has_left_need_not_have_the_end():
    story = Story()
    story.view[-1] = Left()
    story.found()
    del story.view[-4]
    story.found(history.GAP)


def test_the_first_after_hello_is_missing():
    story = Story()
    story.view = [Hello(4), Page(story.log[2:4], 4, False), *map(Live, story.log[5:]), Page(story.log, COUNT, False)]
    story.found(history.GAP)


def test_a_connection_that_ends_before_its_first_page():
    story = Story()
    story.view = [Hello(3), Live(story.log[3]), Hello(8), Page(story.log[7:8], 8, False), *map(Live, story.log[8:])]
    story.found()
    story.view.insert(1, Page(story.log[2:3], 3, False))
    story.found(history.GAP)


def test_pushed_again():
    story = Story()
    story.view.append(Live(story.log[-1]))
    story.found(history.AGAIN)


def test_pushed_again_after_a_page():
    story = Story()
    story.view = [Hello(4), Page(story.log[:5], 5, False), *map(Live, story.log[4:])]
    story.found(history.AGAIN)


def test_pushed_although_before_hello():
    story = Story()
    story.view.insert(6, Live(story.log[5]))
    story.found(history.AGAIN)


def test_the_other_order_on_a_connection():
    story = Story()
    story.view[-1], story.view[-2] = story.view[-2], story.view[-1]
    story.found(history.GAP, history.AGAIN)


def test_pushed_with_another_text():
    story = Story()
    story.view[-1] = Live(story.log[-1]._replace(text="other"))
    story.found(history.PUSHED)


def test_a_page_with_another_text():
    story = Story()
    story.view[7] = Page([story.log[4]._replace(text="other"), *story.log[5:7]], 7, False)
    story.found(history.VIEW)


def test_a_page_with_a_hole():
    story = Story()
    story.view[7] = Page([story.log[4], story.log[6]], 7, False)
    story.found(history.GAP)


def test_a_reset():
    story = Story()
    story.view[7] = Page(story.log[4:7], 7, True)
    story.found(history.RESET)


def test_a_reset_while_entries_are_pushed():
    story = Story()
    story.view[7:] = [Live(story.log[7]), Page(story.log[4:7], 7, True), *map(Live, story.log[8:])]
    story.found(history.RESET)
    del story.view[7]
    story.found(history.RESET, history.GAP)


def test_another_reading_of_the_log():
    story = Story()
    history.compare(story.log, list(story.log), "same")
    for other in (story.log[:-1], [story.log[0]._replace(at=1), *story.log[1:]]):
        try:
            history.compare(story.log, other, "other")
        except AssertionError:
            continue
        raise Exception("a difference was not noticed")


if __name__ == "__main__":
    tap.run(tap.of(sys.modules[__name__]))
