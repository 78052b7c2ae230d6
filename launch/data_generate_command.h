#pragma once

namespace CLI {
class App;
}

namespace herd {

/// Adds `herd data generate --kind KIND|FILE --endpoint URL --model NAME --count N --output FILE …`: records that a chat model makes up after
/// seed tasks and topics; and `herd data kinds`, which lists what kinds there are.
/// @param code becomes the exit code where a signal stopped it; outlives `data`.
void add_data_generate(CLI::App& data, int& code);

}  // namespace herd
