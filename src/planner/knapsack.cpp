#include "planner/knapsack.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace pare {
namespace {

// The partial sums kept at most; past it the list is thinned and the result may be short of the
// optimum by the gap that lower_bound shows.
constexpr size_t kMaxStates = 400'000;

size_t relaxed_choice(const std::vector<Choice>& choices, double lambda) {
  size_t best = 0;
  double best_value = std::numeric_limits<double>::infinity();
  for (size_t j = 0; j < choices.size(); ++j) {
    const double value = choices[j].cost + lambda * static_cast<double>(choices[j].bytes);
    if (value < best_value || (value == best_value && choices[j].bytes < choices[best].bytes)) {
      best_value = value;
      best = j;
    }
  }
  return best;
}

KnapsackResult relaxed(std::span<const std::vector<Choice>> items, double lambda) {
  KnapsackResult r;
  for (const auto& choices : items) {
    const size_t j = relaxed_choice(choices, lambda);
    r.chosen.push_back(j);
    r.bytes += choices[j].bytes;
    r.cost += choices[j].cost;
  }
  return r;
}

// Spends what is left of the budget on the best single changes, again and again.
void improve_greedily(std::span<const std::vector<Choice>> items, uint64_t budget,
                      KnapsackResult* r) {
  for (;;) {
    size_t item = 0, choice = 0;
    double best_gain = 0.0;
    for (size_t i = 0; i < items.size(); ++i) {
      const Choice& now = items[i][r->chosen[i]];
      for (size_t j = 0; j < items[i].size(); ++j) {
        const Choice& other = items[i][j];
        const double gain = now.cost - other.cost;
        if (gain > best_gain && r->bytes - now.bytes + other.bytes <= budget) {
          best_gain = gain;
          item = i;
          choice = j;
        }
      }
    }
    if (best_gain <= 0.0) return;
    const Choice& now = items[item][r->chosen[item]];
    r->bytes = r->bytes - now.bytes + items[item][choice].bytes;
    r->cost -= best_gain;
    r->chosen[item] = choice;
  }
}

struct State {
  uint64_t bytes;
  double cost;
  uint32_t parent;  // index into the list of the item before
  uint32_t choice;
};

}  // namespace

Result<KnapsackResult> solve_knapsack(std::span<const std::vector<Choice>> items, uint64_t budget) {
  uint64_t smallest = 0;
  for (size_t i = 0; i < items.size(); ++i) {
    if (items[i].empty()) return invalid_argument("item {} has no candidate", i);
    smallest += std::min_element(items[i].begin(), items[i].end(), [](auto& a, auto& b) {
                  return a.bytes < b.bytes;
                })->bytes;
  }
  if (smallest > budget) {
    return invalid_argument("the smallest possible is {} bytes, the budget {}: {} too many",
                            smallest, budget, smallest - budget);
  }

  // The multiplier at which the relaxed solution just fits.
  KnapsackResult best = relaxed(items, 0.0);
  if (best.bytes <= budget) {
    best.lower_bound = best.cost;
    return best;
  }
  double low = 0.0, high = 1e-12;
  while (relaxed(items, high).bytes > budget) high *= 4.0;
  for (int step = 0; step < 200 && high - low > 1e-15 * high; ++step) {
    const double middle = 0.5 * (low + high);
    (relaxed(items, middle).bytes > budget ? low : high) = middle;
  }
  const double lambda = high;
  best = relaxed(items, lambda);
  const double bound =
      best.cost + lambda * (static_cast<double>(best.bytes) - static_cast<double>(budget));
  improve_greedily(items, budget, &best);

  // rest[i]: the relaxed value of items i.. at lambda, to bound partial sums.
  std::vector<double> rest(items.size() + 1, 0.0);
  std::vector<uint64_t> rest_smallest(items.size() + 1, 0);
  for (size_t i = items.size(); i-- > 0;) {
    const Choice& c = items[i][relaxed_choice(items[i], lambda)];
    rest[i] = rest[i + 1] + c.cost + lambda * static_cast<double>(c.bytes);
    uint64_t least = std::numeric_limits<uint64_t>::max();
    for (const Choice& other : items[i]) least = std::min(least, other.bytes);
    rest_smallest[i] = rest_smallest[i + 1] + least;
  }

  const double slack = 1e-12 * std::max(1e-300, best.cost);
  std::vector<std::vector<State>> lists(items.size() + 1);
  lists[0] = {{0, 0.0, 0, 0}};
  bool thinned = false;
  for (size_t i = 0; i < items.size(); ++i) {
    std::vector<State> next;
    for (uint32_t p = 0; p < lists[i].size(); ++p) {
      for (uint32_t j = 0; j < items[i].size(); ++j) {
        const uint64_t bytes = lists[i][p].bytes + items[i][j].bytes;
        const double cost = lists[i][p].cost + items[i][j].cost;
        if (bytes + rest_smallest[i + 1] > budget) continue;
        const double reachable =
            cost + rest[i + 1] +
            lambda * (static_cast<double>(bytes) - static_cast<double>(budget));
        if (reachable >= best.cost - slack) continue;
        next.push_back({bytes, cost, p, j});
      }
    }
    std::sort(next.begin(), next.end(), [](const State& a, const State& b) {
      return a.bytes != b.bytes
                 ? a.bytes < b.bytes
                 : (a.cost != b.cost
                        ? a.cost < b.cost
                        : (a.parent != b.parent ? a.parent < b.parent : a.choice < b.choice));
    });
    std::vector<State> kept;
    for (const State& s : next) {
      if (kept.empty() || s.cost < kept.back().cost) kept.push_back(s);
    }
    if (kept.size() > kMaxStates) {
      // Keep the most promising; the bound no longer proves optimality.
      thinned = true;
      std::nth_element(kept.begin(), kept.begin() + kMaxStates, kept.end(),
                       [&](const State& a, const State& b) {
                         return a.cost + lambda * static_cast<double>(a.bytes) <
                                b.cost + lambda * static_cast<double>(b.bytes);
                       });
      kept.resize(kMaxStates);
      std::sort(kept.begin(), kept.end(),
                [](const State& a, const State& b) { return a.bytes < b.bytes; });
    }
    lists[i + 1] = std::move(kept);
  }

  const auto& last = lists.back();
  // The list is sorted by bytes with falling cost: its end is the cheapest that fits.
  if (!last.empty() && last.back().cost < best.cost) {
    size_t at = last.size() - 1;
    best.bytes = last[at].bytes;
    best.cost = last[at].cost;
    for (size_t i = items.size(); i-- > 0;) {
      const State& s = lists[i + 1][at];
      best.chosen[i] = s.choice;
      at = s.parent;
    }
  }
  best.lower_bound = thinned ? bound : best.cost;
  return best;
}

}  // namespace pare
