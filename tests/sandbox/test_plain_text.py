"""A mail's HTML as text: what a reader sees, line by line."""

from __future__ import annotations

import pytest

from django_migma.sandbox.plain_text import plain_text


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("", ""),
        ("Hello   <b>Ada</b>,\n the kettle is on.", "Hello Ada, the kettle is on."),
        ("<h1>News</h1><p>One</p><p>Two<br>and more</p>", "News\n\nOne\n\nTwo\nand more"),
        ("<ul><li>One<li>Two</ul>", "One\nTwo"),
        (
            "<table><tr><td>Beans</td><td>2</td></tr><tr><th>Total</th><td>€ 8</td></tr></table>",
            "Beans 2\n\nTotal € 8",
        ),
        ('<a href="https://shop.example/">To the shop</a>', "To the shop [https://shop.example/]"),
        ('<a href="#top">Up</a> <a name="here">Here</a>', "Up Here"),
        ('<img src="x.png" alt="A kettle"> and <img src="y.png">', "A kettle and"),
        ("a &amp; b &lt;c&gt; &euro;", "a & b <c> €"),
        ("<title>T</title><style>p {}</style><script>x()</script><!-- c --><p>Seen</p>", "Seen"),
        ("<head><meta charset=utf-8><body>No end of the head", "No end of the head"),
        ("</style>Ends that nothing began</script></p>", "Ends that nothing began"),
        ("Preheader&zwnj;&nbsp;&zwnj;&nbsp;&#847;\ufeff<p>Mail</p>", "Preheader\n\nMail"),
        ("5 < 6", "5 < 6"),
    ],
)
def test_text_is_what_a_reader_sees(html, text):
    assert plain_text(html) == text
