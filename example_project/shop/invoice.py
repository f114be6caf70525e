"""An invoice as a PDF, written by hand: a shop with more to print would use a library for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.utils.formats import date_format
from django.utils.timezone import localdate

if TYPE_CHECKING:
    from .models import Order

_OBJECTS = (
    b"<< /Type /Catalog /Pages 2 0 R >>",
    b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
    b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 5 0 R /Resources << /Font << /F 4 0 R >> >> >>",
    b"<< /Type /Font /Subtype /Type1 /BaseFont /Courier /Encoding /WinAnsiEncoding >>",
)


def invoice_pdf(order: Order) -> bytes:
    """One page, A4."""
    lines = order.lines.select_related("coffee")
    return _pdf(
        [
            "Fernhill Coffee",
            "",
            f"Invoice for order {order.number}, {date_format(localdate(order.placed_at), 'j F Y')}",
            f"To {order.first_name} ({order.email}), paid on delivery",
            "",
            *(f"{line.bags:>3}  {line.coffee!s:<40} {f'€ {line.price}':>12}" for line in lines),
            f"     {'Total':<40} {f'€ {order.total}':>12}",
        ]
    )


def _pdf(lines: list[str]) -> bytes:
    text = " T*\n".join(f"({_escape(line)}) Tj" for line in lines)
    stream = f"BT /F 11 Tf 16 TL 56 770 Td\n{text}\nET".encode("cp1252", errors="replace")
    objects = (*_OBJECTS, b"<< /Length %d >>\nstream\n%b\nendstream" % (len(stream), stream))
    pdf, offsets = b"%PDF-1.4\n", []
    for number, content in enumerate(objects, 1):
        offsets.append(len(pdf))
        pdf += b"%d 0 obj\n%b\nendobj\n" % (number, content)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    count = len(objects) + 1
    end = b"xref\n0 %d\n0000000000 65535 f \n%btrailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n"
    return pdf + end % (count, table, count, len(pdf))


def _escape(line: str) -> str:
    for special in "\\()":
        line = line.replace(special, f"\\{special}")
    return line
