// The page's style sheet and script. Light and dark follow the reader's system.
#include "report/html_parts.h"

namespace pare {

const char kReportStyle[] = R"css(
:root{--bg:#fbfaf8;--card:#fff;--ink:#1b2129;--soft:#59636e;--line:#e3e0da;--rule:#eceae5;
--accent:#0f6c8f;--tint:#eaf4f7;--h0:#f6efc4;--h1:#dcebb8;--h2:#b4ddb4;--h3:#86ccb8;--h4:#5cb7be;
--h5:#3d9dbf;--h6:#2f7eb3;--h7:#2a5d9f;--h8:#253f86;--h9:#1a2763;--t-low:#1b2129;--t-high:#fff}
@media (prefers-color-scheme:dark){:root{--bg:#12161b;--card:#1a2027;--ink:#e7eaee;--soft:#9ba6b2;
--line:#2c343d;--rule:#262d35;--accent:#67c3e3;--tint:#17303b;--h0:#24304d;--h1:#254670;--h2:#285f8c;
--h3:#2d7a9b;--h4:#37959f;--h5:#55b29b;--h6:#84ca91;--h7:#b5dd8d;--h8:#deea9c;--h9:#f8f4c6;
--t-low:#f2f5f8;--t-high:#12161b}}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%}
body{margin:0;background:var(--bg);color:var(--ink);
font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",sans-serif}
.wrap{max-width:1120px;margin:0 auto;padding:0 40px}
header{background:var(--card);border-bottom:1px solid var(--line);padding:44px 0 36px}
.eyebrow{margin:0 0 14px;color:var(--accent);font-size:13px;font-weight:600;letter-spacing:.04em}
h1{margin:0;max-width:24em;font-size:34px;line-height:1.2;font-weight:680;letter-spacing:-.018em;
overflow-wrap:anywhere;text-wrap:balance}
.lede{max-width:44em;margin:16px 0 0;font-size:17px;color:var(--soft)}
section{margin:52px 0}
h2{margin:0 0 14px;font-size:22px;line-height:1.3;font-weight:650;letter-spacing:-.01em}
h3{margin:28px 0 10px;font-size:15px;font-weight:650}
section>p{max-width:44em;margin:0 0 16px;color:var(--soft)}
section>p q{color:var(--ink)}
dl,dd,ul,figure,blockquote{margin:0;padding:0}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(170px,1fr));gap:0;margin-top:34px;
border-top:1px solid var(--line)}
.tiles div{padding:18px 20px 0 0}
.tiles dt{font-size:13px;color:var(--soft)}
.tiles dd{font-size:30px;line-height:1.25;font-weight:640;letter-spacing:-.015em;
font-variant-numeric:tabular-nums}
.tiles small{display:block;font-size:13px;font-weight:400;letter-spacing:0;color:var(--soft)}
.scroll{overflow-x:auto;border-radius:4px}
.scroll:focus-visible,summary:focus-visible,button:focus-visible{outline:2px solid var(--accent);
outline-offset:2px}
table{border-collapse:collapse;font-variant-numeric:tabular-nums;white-space:nowrap}
th,td{padding:11px 9px;text-align:left;border-bottom:1px solid var(--rule);font-weight:400}
thead th{padding-top:0;font-size:13px;color:var(--soft);border-bottom-color:var(--line)}
th:first-child{padding-left:12px}
.n{text-align:right}
td small{color:var(--soft);font-size:.82em}
.summary{width:100%;font-size:14.5px}
.summary tbody th{font-weight:550}
.ours th,.ours td{background:var(--tint)}
.ours th{color:var(--accent);box-shadow:inset 3px 0 var(--accent)}
svg{display:block;height:auto;max-width:none}
svg text{fill:var(--ink);font-size:12.5px}
svg .tick,svg .name{fill:var(--soft);font-size:12px;font-variant-numeric:tabular-nums}
svg .role{font-size:12.5px}
svg .end{text-anchor:end}svg .mid,svg .in{text-anchor:middle}
svg .in{font-size:11px;font-variant-numeric:tabular-nums;pointer-events:none}
.rule{stroke:var(--rule)}.axis{stroke:var(--soft);stroke-width:1}
.budget{stroke:var(--soft);stroke-dasharray:3 4}
.chart{display:grid;grid-template-columns:minmax(0,680px) 1fr;gap:32px;align-items:end;
margin-top:36px}
.chart figcaption{max-width:19em;padding-bottom:52px;color:var(--soft);font-size:14px}
svg.size{width:100%;min-width:540px}
svg.size g text{paint-order:stroke;stroke:var(--bg);stroke-width:4px;stroke-linejoin:round}
.original circle,.rival circle{fill:var(--card);stroke:var(--soft);stroke-width:2}
.rival line{stroke:var(--soft);stroke-width:1.5}
.ours circle{fill:var(--accent)}.ours line{stroke:var(--accent);stroke-width:2}
.ours text{fill:var(--accent);font-weight:650}
.h0{fill:var(--h0);background:var(--h0)}.h1{fill:var(--h1);background:var(--h1)}
.h2{fill:var(--h2);background:var(--h2)}.h3{fill:var(--h3);background:var(--h3)}
.h4{fill:var(--h4);background:var(--h4)}.h5{fill:var(--h5);background:var(--h5)}
.h6{fill:var(--h6);background:var(--h6)}.h7{fill:var(--h7);background:var(--h7)}
.h8{fill:var(--h8);background:var(--h8)}.h9{fill:var(--h9);background:var(--h9)}
svg .t0,svg .t1,svg .t2,svg .t3,svg .t4{fill:var(--t-low)}
svg .t5,svg .t6,svg .t7,svg .t8,svg .t9{fill:var(--t-high)}
.bar{fill:var(--accent)}
svg g:hover>rect,.bar:hover{stroke:var(--ink);stroke-width:1.5}
.shares{display:flex;gap:2px;height:14px;border-radius:4px;overflow:hidden;margin:20px 0 14px}
.shares span{flex:1 1 0;min-width:2px}
.legend,.outside{list-style:none;display:flex;flex-wrap:wrap;gap:8px 28px;font-size:14px;
font-variant-numeric:tabular-nums}
.legend li{display:flex;align-items:center;gap:8px}
.legend span,.outside span{color:var(--soft)}
.legend b,.outside b{font-weight:600}
i[class^=h]{display:inline-block;flex:none;width:14px;height:14px;border-radius:3px;
box-shadow:inset 0 0 0 1px #8884}
.note{margin:10px 0 0!important;font-size:14px}
.map{margin-top:24px}
.outside{gap:12px}
.outside li{display:flex;gap:12px;align-items:center;padding:12px 16px;background:var(--card);
border:1px solid var(--line);border-radius:6px}
.outside i{width:30px!important;height:30px!important}
.outside div{min-width:0;overflow-wrap:anywhere}
.outside span{display:block}
.samples{display:grid;grid-template-columns:repeat(auto-fit,minmax(260px,1fr));gap:16px}
.samples figure{padding:18px 20px;background:var(--card);border:1px solid var(--line);
border-radius:6px;border-top-width:3px}
.samples .ours{border-top-color:var(--accent)}
.samples figcaption{display:flex;justify-content:space-between;gap:12px;margin-bottom:10px;
font-size:13px;font-weight:600}
.samples figcaption span{color:var(--soft);font-weight:400;white-space:nowrap}
blockquote{font:16px/1.6 Charter,"Iowan Old Style",Georgia,"Times New Roman",serif;
overflow-wrap:anywhere}
.proof{list-style:none}
.proof li{position:relative;padding:5px 0 5px 30px}
.proof li::before{content:"";position:absolute;left:5px;top:10px;width:7px;height:13px;
border:solid var(--accent);border-width:0 2.5px 2.5px 0;transform:rotate(42deg)}
.facts div{display:grid;grid-template-columns:130px 1fr;gap:4px 20px;padding:10px 0;
border-top:1px solid var(--rule)}
.facts dt{color:var(--soft)}
.facts dd{min-width:0;overflow-wrap:anywhere}
code{font:14px/1.5 ui-monospace,"SF Mono",Menlo,Consolas,monospace}
summary{display:inline-block;cursor:pointer;padding:8px 16px;border:1px solid var(--line);
border-radius:6px;background:var(--card);font-size:15px;list-style:none}
summary::-webkit-details-marker{display:none}
summary:hover{border-color:var(--accent);color:var(--accent)}
details[open] summary{margin-bottom:18px}
details .scroll{max-height:80vh;overflow:auto;border:1px solid var(--line);background:var(--card)}
.tensors{width:100%;font-size:13.5px}
.tensors th,.tensors td{padding:6px 12px}
.tensors thead th{position:sticky;top:0;padding:9px 12px;background:var(--card);z-index:1;
box-shadow:inset 0 -1px var(--line)}
.tensors button{all:unset;cursor:pointer}
.tensors button:hover{color:var(--accent)}
.tensors button:focus-visible{outline:2px solid var(--accent);outline-offset:3px}
th[aria-sort] button{color:var(--ink);font-weight:600}
th[aria-sort=ascending] button::after{content:" \2191"}
th[aria-sort=descending] button::after{content:" \2193"}
.type i{margin-right:8px;vertical-align:-2px}
.why{color:var(--soft)}
@media (max-width:820px){.chart{grid-template-columns:minmax(0,1fr);gap:8px}
.chart figcaption{padding:0;max-width:none}}
@media (max-width:600px){.wrap{padding:0 20px}header{padding:28px 0 26px}h1{font-size:26px}
.lede{font-size:16px}section{margin:40px 0}.tiles{grid-template-columns:1fr 1fr}
.tiles dd{font-size:24px}.facts div{grid-template-columns:1fr}
.summary th:first-child{position:sticky;left:0;background:var(--bg)}
.summary .ours th:first-child{background:var(--tint)}
.summary tbody th{white-space:normal;min-width:120px}}
@media print{details>*{display:block}.scroll{overflow:visible;max-height:none}}
)css";

// Clicking a heading of the tensor table sorts by that column; without it nothing is lost.
const char kReportScript[] = R"js(
for (const table of document.querySelectorAll('table.tensors')) {
  const heads = [...table.tHead.rows[0].cells], body = table.tBodies[0];
  heads.forEach((head, column) => {
    const button = document.createElement('button');
    button.type = 'button';
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener('click', () => {
      const down = head.getAttribute('aria-sort') === 'ascending';
      heads.forEach(h => h.removeAttribute('aria-sort'));
      head.setAttribute('aria-sort', down ? 'descending' : 'ascending');
      const key = row => {
        const cell = row.cells[column], v = cell.dataset.v;
        return v === undefined ? cell.textContent : v === '' ? Infinity : Number(v);
      };
      const order = (a, b) => typeof a === 'number' ? a - b
          : a.localeCompare(b, 'en', {numeric: true});
      const rows = [...body.rows].sort((a, b) => order(key(a), key(b)));
      body.append(...(down ? rows.reverse() : rows));
    });
  });
}
)js";

}  // namespace pare
