from hypothesis import given, settings
from hypothesis import strategies as st

from mechviz.corpora.join import Retrieved, ranked

scores = st.floats(-5, 5).map(lambda score: round(score, 1)) | st.floats(allow_nan=False)


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["q1", "q2", "q3"]), scores), max_size=30))
def test_a_rank_is_one_more_than_the_number_of_better_lines(lines):
    run = [Retrieved(query, f"d{number}", score) for number, (query, score) in enumerate(lines)]
    found = list(ranked(lambda: run))
    assert [one for one, _ in found] == run
    for number, (one, rank) in enumerate(found):
        rivals = [(other.score, place) for place, other in enumerate(run) if other.query_id == one.query_id and place != number]
        better = sum(score > one.score or (score == one.score and place < number) for score, place in rivals)
        flat = rivals and all(score == one.score for score, _ in rivals)
        assert rank == (None if flat else better + 1)
