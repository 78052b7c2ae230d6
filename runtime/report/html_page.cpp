#include "runtime/report/html_page.h"

#include "runtime/report/picture.h"

namespace herd {
namespace {

constexpr std::string_view kStyle = R"css(
:root{color-scheme:light dark;--paper:#f6f7f9;--card:#fff;--text:#292e38;--faint:#5b626d;--line:#e2e5ea}
@media(prefers-color-scheme:dark){:root{--paper:#14171c;--card:#1d2128;--text:#e6e8ec;--faint:#a7afbb;--line:#353b45}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:1100px;padding:16px;background:var(--paper);color:var(--text);font:16px/1.5 system-ui,sans-serif}
h1{font-size:1.5em;margin:.4em 0}h2{font-size:1.15em;margin:1.6em 0 .6em}h3{font-size:1em;margin:.2em 0 .4em;overflow-wrap:anywhere}p{margin:.4em 0}
.faint{color:var(--faint)}h3 .faint{font-weight:400;font-size:.9em}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,320px),1fr));gap:12px;align-items:start}
.pictures{grid-template-columns:repeat(auto-fit,minmax(min(100%,430px),1fr))}
.numbers{align-items:stretch;grid-template-columns:repeat(auto-fit,minmax(130px,1fr))}
.card{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:10px 12px;min-width:0}
.numbers b{display:block;font-size:1.35em}
svg{display:block;width:100%;height:auto}
.scroll{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
th,td{padding:4px 8px;border-bottom:1px solid var(--line);text-align:right;white-space:nowrap}
th:first-child,td:first-child{text-align:left}
td:first-child{overflow-wrap:anywhere;white-space:normal;min-width:7em}
th{color:var(--faint);font-weight:600;font-size:.9em}
pre{white-space:pre-wrap;overflow-wrap:anywhere;margin:.4em 0 0;font:14px/1.5 ui-monospace,monospace}
)css";

}  // namespace

std::string html_page(std::string_view title, const std::string& body, std::string_view more_style) {
  std::string out = "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">";
  out += "<title>" + escaped(title) + "</title><style>" + std::string(kStyle) + std::string(more_style) + svg_style(false) +
         "@media(prefers-color-scheme:dark){" + svg_style(true) + "}</style></head>\n<body>";
  return out + body + "</body></html>\n";
}

}  // namespace herd
