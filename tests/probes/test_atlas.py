import numpy as np
import pytest
import scipy.spatial.distance as distance
from sklearn.decomposition import PCA

import mechviz as mv
from mechviz.errors import InputError, InputTypeError, MechvizError
from mechviz.probes.atlas import _turned, atlas, cells_of
from mechviz.probes.reading import read

DOCS = [
    "lava flows from the volcano",
    "a volcano throws ash and lava",
    "bread is made of flour",
    "flour and water make bread",
    "the bank lends money",
    "money lies in the bank",
]


@pytest.fixture(scope="module")
def dot():
    return mv.load("toy/dot")


@pytest.fixture(scope="module")
def of_documents(dot):
    return atlas(dot, DOCS, grades=[0, 3, 1, np.nan, 0, 0], size=4)


def test_documents_lie_where_principal_components_of_their_vectors_put_them(dot, of_documents):
    for layer in (0, 1):
        hook = f"blocks.{layer}.hook_resid_post"
        vectors = np.empty((len(DOCS), 128))
        for one in read(dot, DOCS, [hook]):
            vectors[one.number] = one.arrays[hook][dot.reads("doc", one.tokens)].mean(axis=0)
        flat = PCA(2, svd_solver="full").fit_transform(vectors)
        mine = of_documents.layout.sel(layer=layer).values
        np.testing.assert_allclose(distance.pdist(mine), distance.pdist(flat / np.abs(flat).max()), atol=1e-4)


def test_a_document_whose_score_is_read_at_one_position_is_what_is_there():
    cat, pairs = mv.load("toy/cat"), [("volcano", doc) for doc in DOCS]
    vectors = np.empty((len(DOCS), 128))
    for one in read(cat, pairs, ["blocks.1.hook_resid_post"]):
        vectors[one.number] = one.arrays["blocks.1.hook_resid_post"][0]  # [CLS]
    flat = PCA(2, svd_solver="full").fit_transform(vectors)
    mine = atlas(cat, pairs, layers=[1]).layout.values[0]
    np.testing.assert_allclose(distance.pdist(mine), distance.pdist(flat / np.abs(flat).max()), atol=1e-4)


def test_the_share_of_the_variance_is_said(of_documents):
    assert ((of_documents.explained > 0.3) & (of_documents.explained <= 1)).all()


def test_turning_a_layer_moves_no_point_with_regard_to_another_and_undoes_a_rotation():
    first = np.random.default_rng(0).standard_normal((20, 2))
    turn = np.array([[0, -1], [1, 0]])
    back = _turned([first, first @ turn])[1]
    np.testing.assert_allclose(back, first, atol=1e-6)


def test_cells_count_all_points_and_their_grades_and_say_their_terms(of_documents):
    cells = of_documents.cells
    for layer in (0, 1):
        mine = cells[cells["layer"] == layer]
        assert mine["n"].sum() == len(DOCS)
        assert np.array(mine["grades"].tolist()).sum(axis=0).tolist() == [3, 1, 0, 1]


def test_terms_of_a_cell_are_those_of_class_based_tf_idf(dot):
    made = atlas(dot, DOCS, size=2, layers=[1])
    where = cells_of(made.layout.values[0], 2)
    for _, cell in made.cells.iterrows():
        inside = [doc for doc, at in zip(DOCS, where, strict=True) if tuple(at) == (cell["row"], cell["column"])]
        words = [word for doc in inside for word in mv.text.words.terms(doc)]
        mean = sum(len([w for w in doc.split() if w not in STOP]) for doc in DOCS) / len(made.cells)
        every = " ".join(DOCS).split()
        ranked = sorted(set(words) - STOP, key=lambda w: (-words.count(w) * np.log(1 + mean / every.count(w)), w))
        assert cell["terms"] == " ".join(ranked[:4])


STOP = {"the", "a", "is", "of", "and", "in", "from"}


def test_pairs_are_scored(dot):
    made = atlas(dot, [("volcano", doc) for doc in DOCS])
    np.testing.assert_allclose(made.points["score"], dot.score("volcano", DOCS), rtol=1e-5)
    total = (made.cells["score"] * made.cells["n"]).groupby(made.cells["layer"]).sum()
    np.testing.assert_allclose(total, made.points["score"].sum(), rtol=1e-5)


@pytest.mark.parametrize("name", ["toy/cat", "toy/monot5"])
def test_tokens_are_laid_out_in_their_context(name):
    made = atlas(mv.load(name), DOCS, level="token", layers=[-1])
    assert made.level == "token"
    volcano = made.points[made.points["label"].str.contains("[volcano]", regex=False)]
    assert set(volcano["text"]) == {0, 1}
    assert "lava" in " ".join(volcano["label"])


def test_of_too_many_points_the_same_sample_is_drawn_for_a_seed(dot):
    made = [atlas(dot, DOCS, level="token", most=7, seed=seed).points["label"].tolist() for seed in (1, 1, 2)]
    assert len(made[0]) == 7
    assert made[0] == made[1] != made[2]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"level": "word"}, "'document' or 'token'"),
        ({"method": "tsne"}, "'pca' or 'umap'"),
        ({"layers": [2]}, "0 to 1"),
        ({"layers": []}, "0 to 1"),
        ({"size": 1}, "at least 2"),
        ({"grades": [1, 2]}, "for 6 texts"),
        ({"grades": [0.5] * 6}, "whole numbers"),
        ({"scores": [1.0]}, "for 6 texts"),
    ],
)
def test_bad_input(dot, arguments, says):
    with pytest.raises(InputError, match=says):
        atlas(dot, DOCS, **arguments)


def test_too_few_points_and_no_list(dot):
    with pytest.raises(InputError, match="at least 3"):
        atlas(dot, DOCS[:2])
    with pytest.raises(InputTypeError, match="list of strings"):
        atlas(dot, "one text")


def test_umap_says_what_to_install(dot, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "umap", None)
    with pytest.raises(MechvizError, match=r"mechviz-ir\[umap\]"):
        atlas(dot, DOCS, method="umap")
