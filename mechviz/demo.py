"""The example behind ``mechviz demo``: texts written for the project."""

from __future__ import annotations

QUERY = "why does sourdough bread rise in the fridge"

DOC = (
    "Dough rises because yeast eats the sugars in flour and gives off carbon dioxide. Gluten, the net of proteins that "
    "kneading builds, traps the gas in small bubbles. In the cold yeast slows down but does not stop, so a dough left "
    "overnight at four degrees still grows, only more slowly, and has time to gather flavour."
)

#: What is added to the document: the query's own word that the passage never uses.
ADDED = "sourdough bread"

COMPETITORS = (
    "Sourdough bread is raised by a starter, a culture of wild yeast and bacteria kept alive with flour and water.",
    "A fridge keeps food cold by moving heat from its inside to the coils at its back.",
    "To proof bread in the fridge, cover the shaped loaf and leave it there for eight to sixteen hours before baking.",
    "Sourdough starter kept in the fridge needs feeding only once a week, because the cold slows its yeast.",
    "Cake batter is raised by baking powder, which gives off gas when it is wet and again when it is heated.",
    "The price of bread rose this year because wheat and energy became more expensive.",
    "Bread goes stale faster in the fridge than on the shelf, since its starch hardens in the cold.",
    "Yeast is a fungus of a single cell; bakers and brewers have used it for thousands of years.",
)
