// The order table on a pipe, for tests/test_order_states.py: a command a line, an answer a line.
//
//   new|adopt ID SIDE LOTS      event ID EVENT      fill ID LOTS LEAVES      late ID LOTS
//   replace ID REPLACE LOTS PRICE                   replaced ID REPLACE LOTS PRICE FILLED
//   -> STATUS STATE QUANTITY FILLED WANTED BUYS SELLS OPEN UNKNOWN; STATUS -1: there is no order
#include <cstdint>
#include <iostream>
#include <string>

#include "gm/orders/order_table.hpp"

using namespace gm;

namespace {

OrderId id_of(std::int64_t counter) {
    return {1, 1, static_cast<std::uint64_t>(counter)};
}

NewOrder request(std::int64_t counter, std::int64_t side, std::int64_t lots) {
    NewOrder order{};
    order.id = id_of(counter);
    order.side = static_cast<Side>(side);
    order.quantity_lots = lots;
    return order;
}

Status apply(OrderTable& table, Order& order, const std::string& verb, const std::int64_t* given) {
    if (verb == "event") return table.apply(order, static_cast<OrderEvent>(given[0]));
    if (verb == "fill") return table.apply_fill(order, given[0], given[1]);
    if (verb == "late") return table.apply_late_fill(order, given[0]);
    if (verb == "replace") {
        ReplaceOrder replace{};
        replace.replace_id = id_of(given[0]);
        replace.quantity_lots = given[1];
        replace.price_ticks = given[2];
        return table.send_replace(order, replace);
    }
    Replaced answer{};
    answer.replace_id = id_of(given[0]);
    answer.quantity_lots = given[1];
    answer.price_ticks = given[2];
    answer.filled_lots = given[3];
    return table.apply_replaced(order, answer);
}

}  // namespace

int main() {
    OrderTable table;
    if (!table.open(1).is_ok()) return 1;
    std::string verb;
    while (std::cin >> verb) {
        std::int64_t counter = 0;
        std::int64_t given[4] = {};
        const int count = verb == "replaced"                  ? 4
                          : verb == "replace"                 ? 3
                          : verb == "event" || verb == "late" ? 1
                                                              : 2;
        std::cin >> counter;
        for (int i = 0; i < count; ++i) std::cin >> given[i];
        Order* order = nullptr;
        int status = -1;
        if (verb == "new" || verb == "adopt") {
            const NewOrder asked = request(counter, given[0], given[1]);
            order = verb == "new" ? table.insert(asked) : table.adopt(asked);
            status = order == nullptr ? -1 : 0;
        } else if (order = table.find(id_of(counter)); order != nullptr) {
            status = static_cast<int>(apply(table, *order, verb, given));
        }
        const Order shown = order == nullptr ? Order{} : *order;
        const Exposure& exposure = table.exposure(0);
        std::cout << status << ' ' << static_cast<int>(shown.state) << ' '
                  << shown.request.quantity_lots << ' ' << shown.filled_lots << ' '
                  << shown.wanted_lots << ' ' << exposure.open_buy_lots << ' '
                  << exposure.open_sell_lots << ' ' << table.open_count() << ' '
                  << table.has_unknown(0) << '\n';
    }
    return 0;
}
