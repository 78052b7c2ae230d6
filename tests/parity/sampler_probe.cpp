// What herd's sampler draws from, for comparison with other implementations. Each line of stdin, `temperature top_k top_p logit…`, becomes
// a line of `id:probability` pairs.
#include <iostream>
#include <sstream>

#include "infer/sampler.h"

int main() {
  std::cout.precision(17);
  for (std::string line; std::getline(std::cin, line);) {
    std::istringstream in(line);
    herd::SamplingOptions options;
    in >> options.temperature >> options.top_k >> options.top_p;
    std::vector<float> logits;
    for (float logit = 0; in >> logit;) logits.push_back(logit);
    herd::TokenSampler sampler(options);
    for (const auto& candidate : sampler.distribution(logits)) std::cout << candidate.id << ':' << candidate.probability << ' ';
    std::cout << '\n';
  }
}
