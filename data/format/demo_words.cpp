#include "data/format/demo_words.h"

#include <array>

namespace herd::demo {
namespace {

constexpr std::array kNames{Word{"Ann", "小安"}, Word{"Ben", "小本"}, Word{"Cara", "小卡"}, Word{"Dan", "小丹"}, Word{"Eva", "小艾"}, Word{"Finn", "小芬"},
                            Word{"Gina", "小吉"}, Word{"Hugo", "小雨"}};
constexpr std::array kColours{Word{"red", "红色"}, Word{"blue", "蓝色"}, Word{"green", "绿色"}, Word{"yellow", "黄色"}, Word{"black", "黑色"}, Word{"white", "白色"},
                              Word{"brown", "棕色"}, Word{"purple", "紫色"}};
constexpr std::array kThings{Word{"cup", "杯子"}, Word{"hat", "帽子"}, Word{"bag", "包"}, Word{"coat", "外套"}, Word{"lamp", "灯"}, Word{"chair", "椅子"},
                             Word{"boat", "船"}, Word{"door", "门"}, Word{"book", "书"}, Word{"kite", "风筝"}};
constexpr std::array kFoods{Word{"apples", "苹果"}, Word{"pears", "梨"}, Word{"bread", "面包"}, Word{"milk", "牛奶"}, Word{"rice", "米饭"}, Word{"eggs", "鸡蛋"},
                            Word{"fish", "鱼"}, Word{"soup", "汤"}};
constexpr std::array kPlaces{Word{"the garden", "花园"}, Word{"the school", "学校"}, Word{"the river", "河边"}, Word{"the market", "市场"},
                             Word{"the beach", "海滩"}, Word{"the station", "车站"}};
constexpr std::array kAnimals{Word{"cat", "猫"}, Word{"dog", "狗"}, Word{"horse", "马"}, Word{"sheep", "羊"}, Word{"mouse", "老鼠"}, Word{"lion", "狮子"},
                              Word{"bird", "鸟"}, Word{"frog", "青蛙"}};
constexpr std::array kFruits{Word{"apple", "苹果"}, Word{"pear", "梨"}, Word{"grape", "葡萄"}, Word{"lemon", "柠檬"}, Word{"peach", "桃子"}, Word{"melon", "瓜"}};
constexpr std::array kTools{Word{"hammer", "锤子"}, Word{"saw", "锯子"}, Word{"knife", "刀"}, Word{"spoon", "勺子"}, Word{"brush", "刷子"}, Word{"needle", "针"}};
constexpr std::array<Kind, 4> kKinds{Kind{{"animal", "动物"}, {"animals", "动物"}, kAnimals}, Kind{{"fruit", "水果"}, {"fruits", "水果"}, kFruits},
                                     Kind{{"tool", "工具"}, {"tools", "工具"}, kTools}, Kind{{"colour", "颜色"}, {"colours", "颜色"}, kColours}};
constexpr std::array kFacts{
    Fact{{"What colour is snow?", "雪是什么颜色？"}, {"Snow is white.", "雪是白色的。"}},
    Fact{{"What colour is grass?", "草是什么颜色？"}, {"Grass is green.", "草是绿色的。"}},
    Fact{{"What colour is coal?", "煤是什么颜色？"}, {"Coal is black.", "煤是黑色的。"}},
    Fact{{"How many legs does a dog have?", "狗有几条腿？"}, {"A dog has four legs.", "狗有四条腿。"}},
    Fact{{"How many legs does a bird have?", "鸟有几条腿？"}, {"A bird has two legs.", "鸟有两条腿。"}},
    Fact{{"How many days are in a week?", "一周有几天？"}, {"A week has seven days.", "一周有七天。"}},
    Fact{{"How many months are in a year?", "一年有几个月？"}, {"A year has twelve months.", "一年有十二个月。"}},
    Fact{{"What do bees make?", "蜜蜂酿什么？"}, {"Bees make honey.", "蜜蜂酿蜂蜜。"}},
    Fact{{"When does the sun shine?", "太阳什么时候照耀？"}, {"The sun shines by day.", "太阳在白天照耀。"}},
    Fact{{"What is ice made of?", "冰是什么做的？"}, {"Ice is frozen water.", "冰是冻住的水。"}},
    Fact{{"What is the opposite of hot?", "热的反义词是什么？"}, {"The opposite of hot is cold.", "热的反义词是冷。"}},
    Fact{{"What is the opposite of big?", "大的反义词是什么？"}, {"The opposite of big is small.", "大的反义词是小。"}},
    Fact{{"Where do fish live?", "鱼生活在哪里？"}, {"Fish live in water.", "鱼生活在水里。"}},
    Fact{{"What do cows give us?", "奶牛给我们什么？"}, {"Cows give us milk.", "奶牛给我们牛奶。"}},
};

}  // namespace

std::span<const Kind> kinds() { return kKinds; }
std::span<const Word> names() { return kNames; }
std::span<const Word> colours() { return kColours; }
std::span<const Word> things() { return kThings; }
std::span<const Word> foods() { return kFoods; }
std::span<const Word> places() { return kPlaces; }
std::span<const Fact> facts() { return kFacts; }

}  // namespace herd::demo
