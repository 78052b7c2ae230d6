#pragma once

namespace herd {

/// herd fetch org/name [--revision R] [--dataset] [--include G]… [--exclude G]… [--output DIR]: models and data sets from the hub into the
/// cache that Hugging Face's libraries share, or into a folder. Prints where they are. See docs/fetch.md.
int fetch_command(int argc, char** argv);

}  // namespace herd
